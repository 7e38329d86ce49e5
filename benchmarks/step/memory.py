"""How much memory a process came to hold."""

from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """The high-water mark since this was made, above what was held then, in bytes.

    On a CPU resident memory, as the kernel counts it; on CUDA what torch's allocator handed out.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        if device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated()
            return
        CLEAR.write_text("5")  # the high-water mark starts anew
        self.start = _field("VmRSS")

    def bytes(self) -> int:
        if self.device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated() - self.start
        return _field("VmHWM") - self.start


def _field(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {name}")
