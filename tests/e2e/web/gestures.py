"""What a person does on the page, and what they read there."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

TRANSITIONS_ENDED = """async () => {
    const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const isEnding = (animation) => animation.effect.getComputedTiming().endTime < Infinity;
    for (let quiet = 0; quiet < 3; quiet += 1) { // a transition may begin where the one of what is around it ends
        await nextFrame();
        const ending = document.getAnimations().filter(isEnding);
        if (ending.length > 0) quiet = -1;
        await Promise.allSettled(ending.map((animation) => animation.finished));
    }
}"""


def choose(page: Page, *paths: Path) -> None:
    """Choose files in the system's dialog."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="files").click()
    chooser.value.set_files(paths)


def start(page: Page) -> None:
    """Send what has been chosen."""
    page.get_by_role("button", name="Start").click()


def choose_preset(page: Page, title: str) -> None:
    """Choose a preset by its exact title."""
    page.get_by_role("radio", name=title).check()


def drop(page: Page, *paths: Path) -> None:
    """Drag files and folders from the desktop onto the page. Only Chromium's own protocol drags folders."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": step, "x": 600, "y": 200, "data": data})


def slow_uploads(page: Page, *, bytes_per_s: float = 8e6) -> None:
    """Let the page send no faster than this, so that an upload can be watched, or interrupted."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s}
    session.send("Network.emulateNetworkConditions", limits)


class UploadWatch:
    """Remembers every percentage that the first upload's bar shows from now on."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.evaluate(
            """() => {
                window.shownPercents = [];
                new MutationObserver(() => {
                    const bar = document.querySelector('[role=progressbar][aria-label^="Upload of"]');
                    if (bar) window.shownPercents.push(Number(bar.ariaValueNow));
                }).observe(document.body, { subtree: true, childList: true, attributes: true });
            }"""
        )

    def percents(self) -> list[int]:
        """In the order in which they were shown."""
        return list(self._page.evaluate("window.shownPercents"))

    def has_seen_progress(self) -> bool:
        """True when the bar showed something between nothing and all."""
        return any(0 < percent < 100 for percent in self.percents())


def play_button(page: Page) -> Locator:
    """It is there as soon as the result can be heard."""
    return page.get_by_role("button", name="Play", exact=True)


def position_s(page: Page) -> float:
    """Where the recording sounds."""
    return float(page.get_by_label("Position").input_value())


def expect_status(page: Page, status: str) -> None:
    """Wait until the open job is `status`."""
    expect(page.get_by_role("main").get_by_text(status, exact=True)).to_be_visible()


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds on the page as it is, moderate and minor faults left out."""
    source = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
    page.evaluate(source.read_text(encoding="utf-8"))
    page.evaluate(TRANSITIONS_ENDED)  # colours on their way from one theme to the other have no contrast to judge
    found = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
