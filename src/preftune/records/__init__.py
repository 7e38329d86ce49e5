"""Frozen records that the stages hand to each other. No torch here."""

from preftune.records.estimates import Estimate
from preftune.records.groups import Form, Group, Message, Rating, Relation, Response, preferred
from preftune.records.intake import Exclusion, Intake
from preftune.records.tokens import TokenGroup, TokenResponse
from preftune.records.watch import Silent, Watch

__all__ = [
    "Estimate",
    "Exclusion",
    "Form",
    "Group",
    "Intake",
    "Message",
    "Rating",
    "Relation",
    "Response",
    "Silent",
    "TokenGroup",
    "TokenResponse",
    "Watch",
    "preferred",
]
