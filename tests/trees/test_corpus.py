"""Captured traffic: every error of a Kustomization reaches a leaf of its own, and every stock alert about pods finds its tree."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay.config.trees import load_trees
from relay.core.event import EMPTY, Event, Severity, Source, Subject
from relay.core.policy import Policy, SourcePolicy
from relay.core.signal import Signal
from relay.core.tree import Certainty
from relay.sources import flux
from relay.sources.owned import Delivered
from tests.conftest import CORPUS

pytestmark = pytest.mark.corpus
LIBRARY = load_trees()
