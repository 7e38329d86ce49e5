"""What a page is made of, read by Python's own parser."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input", "base", "area", "col", "embed", "source", "wbr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; a tag that is not closed in its turn is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self._texts: list[str] = []
        self._by_class: dict[str, list[list[str]]] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("class") or ""))
            for name in self._open[-1][1].split():
                self._by_class.setdefault(name, []).append([])

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data):
        self._texts.append(data)
        for name in {name for _, classes in self._open for name in classes.split()}:
            self._by_class[name][-1].append(data)

    @property
    def text(self) -> str:
        """All that is written between the tags."""
        return "".join(self._texts)

    @property
    def by_class(self) -> dict[str, list[str]]:
        """What is written in the elements of each class."""
        return {name: ["".join(one) for one in found] for name, found in self._by_class.items()}

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [value for _, key, value in self.attributes if key == name]
