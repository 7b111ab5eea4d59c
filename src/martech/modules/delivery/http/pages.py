"""What people see who come by a link of a mail: pages of one layout, without script, that say the
same to everybody."""

from martech.kernel.files import beside

_LAYOUT = beside(__package__, "layout.html")


def _page(title: str, main: str) -> bytes:
    return _LAYOUT.replace("<!-- title -->", title).replace("<!-- main -->", main).encode()


ASK = _page(
    "Unsubscribe",
    "<h1>No more of these mails?</h1>\n"
    "<p>One press, and we will not write to this address again.</p>\n"
    '<form method="post"><button type="submit">Unsubscribe</button></form>',
)
DONE = _page(
    "You are unsubscribed",
    '<h1 role="status">You are unsubscribed</h1>\n'
    "<p>We will not write to this address again. You can close this page.</p>",
)
UNKNOWN = _page(
    "Unknown link",
    "<h1>We do not know this link</h1>\n"
    "<p>It may be cut short: mail programs break long lines. Copy the whole of it from the mail "
    "and try again.</p>",
)
PREVIEW = _page(
    "Preview",
    "<h1>This is a preview</h1>\n"
    "<p>In the mail that is sent, this link works. Here it does nothing: nobody was unsubscribed, "
    "and nothing was counted.</p>",
)
