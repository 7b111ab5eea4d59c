"""A person's browser: Chromium, driven line by line through Node."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from clients.programs import HERE, INSTALLED, node_packages, program


class Browser:
    """Every question waits for what it asks about; an `AssertionError` shows the page."""

    def __init__(self, driver: "subprocess.Popen[str]") -> None:
        self._driver = driver

    def ask(self, name: str, **given: object) -> object:
        assert self._driver.stdin
        assert self._driver.stdout
        self._driver.stdin.write(json.dumps({"do": name, **given}) + "\n")
        self._driver.stdin.flush()
        line = self._driver.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{name} {given}: {answer['error']}")
        told: object = answer["ok"]
        return told

    def go(self, url: str) -> None:
        self.ask("go", url=url)

    def until(self, selector: str, text: str = "") -> None:
        """Until something there is seen with a text that the regular expression *text* finds."""
        self.ask("until", selector=selector, text=text)

    def gone(self, selector: str) -> None:
        self.ask("gone", selector=selector)

    def text(self, selector: str) -> str:
        return str(self.ask("text", selector=selector))

    def sees(self, selector: str) -> bool:
        return bool(self.ask("visible", selector=selector))

    def list(self, name: str) -> "list[str]":
        """What the page ``said`` or ``asked`` since the last time."""
        told = self.ask(name)
        assert isinstance(told, list)
        return told


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that nobody has used before."""
    node_packages()
    driver = subprocess.Popen(
        [program("node"), str(HERE / "browser.mjs"), program("chromium")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(INSTALLED), "LC_ALL": "C.UTF-8"},
    )
    try:
        yield Browser(driver)
    finally:
        assert driver.stdin
        driver.stdin.close()
        driver.wait(30)
