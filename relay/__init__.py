"""The relay keeps a Discord channel reconciled with what is wrong in a Kubernetes cluster."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Read `__version__` from the installed distribution when it is first asked for: serving need not wait for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("flux-relay")
