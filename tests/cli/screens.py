"""A screen whose output a test reads."""

import io

from latchkey_cli.screen import Screen, console


class ReadScreen(Screen):
    """Prints to memory, as to a pipe or, with `width`, as to a terminal of this width without colors."""

    def __init__(self, width: int | None = None, *, as_json: bool = False) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        super().__init__(as_json=as_json, out=console(self._out, width), err=console(self._err, width))

    @property
    def text(self) -> str:
        return self._out.getvalue()

    @property
    def notes(self) -> str:
        return self._err.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()
