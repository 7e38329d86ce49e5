"""Which bytes live at which moment: a count of every storage that an operation makes."""

import weakref
from collections import Counter
from typing import Any, cast

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Bytes = Counter[str]
"""Bytes by part."""


class Ledger(TorchDispatchMode):
    """Counts storages made while it is active, for as long as they live.

    Each is booked under the part that is being computed. `peaks` holds, for every stage, what
    lived when most of it lived. With fake tensors nothing is allocated, and the count is the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peaks: dict[str, Bytes] = {}
        """Stage → bytes by part at its fullest moment."""
        self.flops = 0
        """Floating-point operations of matmuls and attention so far: a multiplication is two."""
        self._stage, self._part = "", ""
        self._live: Bytes = Counter()
        self._booked: dict[int, tuple[str, int]] = {}

    def enter(self, stage: str, part: str) -> None:
        """From now on storages belong to `part`, and the fullest moment to `stage`."""
        self._stage, self._part = stage, part
        self._look()

    def ignore(self, tensor: Tensor) -> None:
        """Leave a tensor out that was there before, such as a parameter, and its views."""
        self._book(tensor.untyped_storage(), "", 0)

    def rebook(self, tensor: Tensor, part: str) -> None:
        """Book a tensor under another part."""
        storage = tensor.untyped_storage()
        before, size = self._booked[_key(storage)]
        self._booked[_key(storage)] = part, size
        self._live[before] -= size
        self._live[part] += size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        # Not by `FlopCounterMode`, whose hooks keep what activation checkpointing would free.
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += count(*args, **kwargs, out_val=made)
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if _key(storage) not in self._booked:
                    self._book(storage, self._part, storage.nbytes())
                    self._look()
        return made

    def _book(self, storage: UntypedStorage, part: str, size: int) -> None:
        key = _key(storage)
        if key not in self._booked:
            self._booked[key] = part, size
            self._live[part] += size
            weakref.finalize(storage, self._strike, key)

    def _strike(self, key: int) -> None:
        part, size = self._booked.pop(key)
        self._live[part] -= size

    def _look(self) -> None:
        before = self.peaks.get(self._stage)
        if before is None or self._live.total() > before.total():
            self.peaks[self._stage] = self._live.copy()


def _key(storage: UntypedStorage) -> int:
    """Its address: `data_ptr` of fake tensors is refused."""
    return cast(int, storage._cdata)  # pyright: ignore[reportPrivateUsage]
