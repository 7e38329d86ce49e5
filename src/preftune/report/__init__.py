"""Pages to read and to pass on: one file each, without a script and without the network."""

from preftune.report.examination import examination_page, write_examination

__all__ = ["examination_page", "write_examination"]
