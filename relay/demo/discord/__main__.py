"""`python -m relay.demo.discord` runs the stand-in by itself, with one webhook to point a relay at."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from relay.demo.discord import Limits, StandIn

WEBHOOK, TOKEN = "1100000000000000001", "a-token-of-the-stand-in-" + "0" * 44
CHANNEL, GUILD, ROLE = "1200000000000000001", "1300000000000000001", "1234"


async def serve(host: str, port: int, limits: Limits) -> None:
    """Serve until interrupted."""
    standin = StandIn(limits=limits)
    standin.add_webhook(WEBHOOK, TOKEN, CHANNEL, GUILD, "Flux relay", channel_name="ops")
    standin.add_role(ROLE, "oncall")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with standin.running(port, host) as api:
        page = api.removesuffix("/api/v10")
        sys.stdout.write(f"webhook  {api}/webhooks/{WEBHOOK}/{TOKEN}\npage     {page}/\nphone    {page}/?phone=1\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m relay.demo.discord", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    parser.add_argument("--no-limits", action="store_true", help="answer without rate limits, for measuring")
    asked = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(asked.host, asked.port, Limits.off() if asked.no_limits else Limits()))


if __name__ == "__main__":
    main()
