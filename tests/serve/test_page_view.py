"""How the page looks, and what it does while the server does not serve it, in a browser."""

from browser import DEMO, drawn, drop, junk, row

# Least contrast of a text to the background that lies behind it (WCAG 2.2, 1.4.3), and that text.
CONTRAST = """() => {
  const paper = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = {}, rgb = (colour) => known[colour] ??= (() => {
    paper.clearRect(0, 0, 1, 1); paper.fillStyle = colour; paper.fillRect(0, 0, 1, 1);
    return [...paper.getImageData(0, 0, 1, 1).data];
  })();
  const light = (colour) => rgb(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  let least = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest(".hidden")) continue;
    let behind = element;
    while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] < 250) behind = behind.parentElement;
    const pair = [element, behind ?? document.body], names = ["color", "backgroundColor"];
    const [a, b] = pair.map((e, k) => light(getComputedStyle(e)[names[k]])).sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < least[0]) least = [(a + 0.05) / (b + 0.05), element.textContent];
  }
  return least;
}"""


def test_phone_and_desktop_in_both_themes(browse, session, tmp_path):
    page = browse(**session[0], color_scheme="dark")
    page.get_by_role("link", name="Download PDF").wait_for()
    frame = page.frame_locator("iframe")
    drawn(frame)
    assert not frame.locator("[data-layer=turn]").is_checked(), "no motion for those who do not want any"
    drop(page, *junk(tmp_path, "damaged.zip"))
    page.locator("#result .error").wait_for()
    for name in ("damaged.zip", DEMO.name):
        row(page, name).get_by_role("button", name=name, exact=True).click()
        page.get_by_role("button", name="Remove", exact=True).wait_for()
        for theme in ("dark", "light"):
            assert page.locator("html").get_attribute("data-theme") == theme
            least, text = page.evaluate(CONTRAST)
            assert least >= 4.5, (theme, text)
            page.get_by_role("button", name="Dark theme").click()
        for width in (400, 1280):
            page.set_viewport_size({"width": width, "height": 860})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("iframe").get_attribute("src").endswith("#dark")
    assert frame.locator("html").get_attribute("data-theme") == "dark", "the 3D page follows"
    assert page.evaluate("localStorage.theme") == "dark"


def test_busy_and_absent_servers_are_waited_for(browse, tmp_path):
    page = browse(faults=True)
    refusals = [503]

    def predictions(route):
        if route.request.method == "POST" and refusals:
            route.fulfill(status=refusals.pop(), headers={"Retry-After": "1"}, json={"title": "Busy"})
        else:
            route.fallback()

    page.route("**/v1/predictions", predictions)
    drop(page, *junk(tmp_path, "one.zip"))
    page.get_by_text("waiting: the server is busy, next try in 1 s").first.wait_for()
    assert row(page, "one.zip").locator(".failed").count() == 1
    page.route("**/v1/predictions", lambda route: route.abort())
    drop(page, *junk(tmp_path, "two.zip"))
    page.get_by_text("The server does not answer. Next try in 1 second.").wait_for()
    page.unroute("**/v1/predictions")
    assert row(page, "two.zip").locator(".failed").count() == 1
    assert not page.locator("#gone").is_visible()


def test_token_is_asked_for(browse):
    page = browse(faults=True)
    tokens = []

    def login(route):
        tokens.append(route.request.post_data)
        route.fulfill(status=204 if tokens[-1] == "token=right%2Bone" else 401, body="")

    def predictions(route):
        route.fulfill(json=[]) if len(tokens) == 2 else route.fulfill(status=401, json={})

    page.route("**/v1/predictions", predictions)
    page.route("**/v1/session", login)
    page.reload()
    for token in ("wrong", "right+one"):
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        if token == "wrong":
            page.get_by_text("This is not the token.").wait_for()
    page.get_by_role("button", name="Choose files").wait_for()
    assert not page.locator("#login").is_visible()
