"""Frozen records that the stages hand to each other. No torch here."""

from preftune.records.estimates import Estimate
from preftune.records.findings import Examination, Example, Finding, Severity
from preftune.records.groups import Form, Group, Message, Rating, Relation, Response, preferred
from preftune.records.intake import Exclusion, Intake
from preftune.records.tokens import TokenGroup, TokenResponse
from preftune.records.watch import Silent, Watch

__all__ = [
    "Estimate",
    "Examination",
    "Example",
    "Exclusion",
    "Finding",
    "Form",
    "Group",
    "Intake",
    "Message",
    "Rating",
    "Relation",
    "Response",
    "Severity",
    "Silent",
    "TokenGroup",
    "TokenResponse",
    "Watch",
    "preferred",
]
