"""`deploy/flux` and `deploy/alertmanager` are what `relay init` writes for the default names.

`python -m tests.deploy.example` writes them anew.
"""

from pathlib import Path

from relay.tools.init import BLANK, TO_ENCRYPT, Alertmanager, Keys, Names, rendered
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
PATH = "clusters/homelab/relay"


def example() -> dict[str, str]:
    """Each file by its place in `deploy/`. Secrets hold no value there, and are not named as what must be encrypted."""
    out: dict[str, str] = {}
    for kind in Alertmanager:
        if kind is Alertmanager.NONE:
            continue
        for place, text in rendered(Names("homelab", alertmanager=kind), PATH, Keys(BLANK, BLANK)).items():
            folder = "" if place.startswith("alertmanager/") else "flux/"
            out[folder + place.replace(TO_ENCRYPT, ".example.yaml")] = text
    for name in ("namespace.yaml", "relay.yaml"):
        out[f"base/{name}"] = out[f"flux/config/{name}"]
    return out


def main() -> None:
    for place, text in example().items():
        file = Path(DEPLOY, place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main()
