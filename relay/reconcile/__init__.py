"""The one sender: what a Channel shows becomes what it ought to show, with the fewest requests.

`sender` speaks to Discord, `rendering` decides what to say, `recording` keeps what came of it.
"""

from relay.reconcile.sender import Reconciler

__all__ = ["Reconciler"]
