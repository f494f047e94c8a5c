"""What shows the relay without a cluster: a Discord stand-in and recorded traffic."""
