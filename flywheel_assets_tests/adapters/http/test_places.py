"""Where a surface may lead. What the client makes of it is in test_http_client.py."""

import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.http.places import EVERYWHERE, Places, shown
from flywheel_assets.domain.errors import LedAstrayError, UnreadableError, UsageError

PUBLIC = "93.184.216.34"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the names of a test resolve to; it may be changed."""
    found: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        family = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in found[host]}
        return [(family[address], socket.SOCK_STREAM, 6, "", (address, port)) for address in found[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("nar/x.nar", "https://cache.example/base/nar/x.nar"),
        ("nar/x?hash=1", "https://cache.example/base/nar/x?hash=1"),
        ("http:x", "https://cache.example/base/http:x"),
        ("/v2/", "https://cache.example/v2/"),
        ("https://cache.example/y", "https://cache.example/y"),
        ("https://CACHE.example:443/y", "https://CACHE.example:443/y"),
        ("https://blobs.example/z", "https://blobs.example/z"),
        ("https://other.example:8443/z", "https://other.example:8443/z"),
        ("https://[2606:2800::1]:444/z", "https://[2606:2800::1]:444/z"),
        ("//blobs.example/z", "https://blobs.example/z"),
    ],
)
def test_a_target_is_a_name_below_the_base_or_a_path_or_an_allowed_url(target: str, url: str) -> None:
    places = Places("https://cache.example/base/", ["BLOBS.example", "other.example:8443", "[2606:2800::1]:444"])
    assert places.resolve(target).geturl() == url


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "https://cache.example.evil.example/",
        "https://evil.example\\.cache.example/",
        "https://evil.example\\@cache.example/",
        "https://cache.example\\@evil.example/",
        "https://cache.example@evil.example/",
        "https://user:pass@cache.example/",
        "https://@cache.example/",
        "https://cache.example./",
        "https://cache.example:8443/",
        "https://blobs.example:444/",
        "https://cache.example:99999/",
        "https://cache.example:x/",
        "https://[::1/",
        "https://\u212aache.example/",
        "https://ca\u0441he.example/",
        "http://cache.example/",
        "http://cache.example:443/",
        "/a b",
        "/a\x7fb",
        "/\u00e9",
        "nar/a b",
    ],
)
def test_a_target_that_is_no_allowed_place_is_refused(target: str) -> None:
    with pytest.raises(LedAstrayError):
        Places("https://cache.example", ["blobs.example", "kache.example"]).resolve(target)


def test_a_domain_on_the_list_lets_through_the_hosts_below_it_and_nothing_else() -> None:
    places = Places("https://api.example", ["*.blobs.example", "*.other.example:8443"])
    for allowed in ("https://a7.blobs.example/x", "https://a.b.blobs.example/x", "https://x.other.example:8443/"):
        assert places.resolve(allowed).geturl() == allowed
    for refused in (
        "blobs.example",
        "evilblobs.example",
        "blobs.example.evil",
        "a.blobs.example:8443",
        "x.other.example",
    ):
        with pytest.raises(LedAstrayError):
            places.resolve(f"https://{refused}/x")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://cache.example/", "javascript:x", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(location: str) -> None:
    with pytest.raises(LedAstrayError):
        Places("https://cache.example").resolve(location, "https://cache.example/x")


def test_line_ends_in_a_target_never_reach_the_request() -> None:
    url = Places("https://cache.example").resolve("/a\r\nX-Evil:1")
    assert url.geturl() == "https://cache.example/aX-Evil:1"


AWKWARD = st.text(st.sampled_from("htps:/\\@.?#%[]\r\n\t \0caehxmplvi0123456789\u212a\uff0f\u3002"), max_size=30)
HOSTS = st.sampled_from(["", "https://", "http://", "//", "https://cache.example", "https://evil.example", "https:"])


@given(HOSTS, AWKWARD, st.booleans())
def test_whatever_is_asked_for_only_allowed_places_come_out(start: str, rest: str, is_redirect: bool) -> None:
    places = Places("https://cache.example/base", ["blobs.example"])
    try:
        url = places.resolve(start + rest, "https://blobs.example/at" if is_redirect else None)
    except LedAstrayError:
        return
    again = urlsplit(url.geturl())
    assert (again.scheme, again.hostname) in {("https", "cache.example"), ("https", "blobs.example")}
    assert "@" not in again.netloc
    assert all("!" <= char <= "~" for char in url.netloc + url.path + url.query)


@pytest.mark.parametrize(
    "base",
    [
        "cache.example",
        "ftp://cache.example",
        "https://",
        "https:///x",
        "https://user:SECRET@cache.example",
        "https://user:SEC?RET@cache.example",
        "https://user:SEC#RET@cache.example",
        "https://user:SEC/RET@cache.example",
        "https://cache.example/?token=SECRET",
        "https://cache.example/#SECRET",
        "https://cache.example:port",
        "https://c\u00e4che.example",
        "https://ca che.example",
        "https://cache.example/\x1b[31m",
    ],
)
def test_a_base_that_is_no_plain_url_is_refused_without_showing_a_secret(base: str) -> None:
    with pytest.raises(UsageError, match="is no URL of a server: write") as caught:
        Places(base)
    assert "SEC" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user:pw@h.example/a@b?token=x#y", "https://h.example/a@b"),
        ("//user:pw@h.example/a", "//h.example/a"),
        ("https://h.example/a#token", "https://h.example/a"),
        ("nar/x\x1b?y", "nar/x\\x1b"),
    ],
)
def test_a_url_in_a_message_has_no_user_query_or_control_characters(url: str, text: str) -> None:
    assert shown(url) == text


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address that leads to this machine
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:224.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_another_host_at_a_private_address_is_refused(names: dict[str, list[str]], address: str) -> None:
    names.update({"cache.example": [PUBLIC], "blobs.example": [PUBLIC, address]})
    with pytest.raises(LedAstrayError, match="private address"):
        Places("https://cache.example", ["blobs.example"]).addresses("blobs.example", 443)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"])
def test_another_host_at_a_public_address_is_let_through(names: dict[str, list[str]], address: str) -> None:
    names.update({"cache.example": [PUBLIC], "blobs.example": [address]})
    assert [found for _, found in Places("https://cache.example").addresses("blobs.example", 443)] == [address]


def connected_to(*hosts: str) -> Places:
    """A surface at cache.example, after connections to these of its hosts."""
    places = Places("https://cache.example", ["blobs.example"])
    for host in hosts:
        places.addresses(host, 443)
    return places


def test_a_surface_at_a_private_address_may_lead_to_private_ones(names: dict[str, list[str]]) -> None:
    names.update({"cache.example": ["10.0.0.1"], "blobs.example": ["10.0.0.2"]})
    assert connected_to("cache.example", "blobs.example").is_private


def test_a_surface_of_which_one_address_is_public_is_no_private_one(names: dict[str, list[str]]) -> None:
    names["cache.example"] = ["10.0.0.1", PUBLIC]
    assert not connected_to("cache.example").is_private


@pytest.mark.parametrize("addresses", [["10.0.0.1", PUBLIC], [PUBLIC, "10.0.0.1"]])
def test_a_surface_that_was_once_at_a_public_address_leads_to_no_private_one(
    names: dict[str, list[str]], addresses: list[str]
) -> None:
    # What leads elsewhere may be the answer to either connection.
    places = connected_to()
    for address in addresses:
        names["cache.example"] = [address]
        places.addresses("cache.example", 443)
    names["blobs.example"] = ["127.0.0.1"]
    with pytest.raises(LedAstrayError, match="private address"):
        places.addresses("blobs.example", 443)


def test_a_surface_that_was_never_connected_to_leads_to_no_private_address(names: dict[str, list[str]]) -> None:
    names.update({"cache.example": ["10.0.0.1"], "blobs.example": ["10.0.0.2"]})
    with pytest.raises(LedAstrayError, match="private address"):
        connected_to("blobs.example")


def test_the_surface_itself_may_be_anywhere_but_only_on_its_own_port(names: dict[str, list[str]]) -> None:
    names["cache.example"] = [PUBLIC]
    places = Places("https://cache.example", ["cache.example:8443"])
    assert places.addresses("cache.example", 443)
    names["cache.example"] = ["10.0.0.1"]
    assert places.addresses("cache.example", 443)
    with pytest.raises(LedAstrayError, match="private address"):
        places.addresses("cache.example", 8443)


def test_the_addresses_that_were_checked_are_the_ones_given_out(names: dict[str, list[str]]) -> None:
    # A name that answers otherwise the second time (rebinding) gains nothing: it is asked once a connection.
    names.update({"cache.example": [PUBLIC], "blobs.example": [PUBLIC]})
    places = Places("https://cache.example", ["blobs.example"])
    found = places.addresses("blobs.example", 443)
    names["blobs.example"] = ["127.0.0.1"]
    assert [address for _, address in found] == [PUBLIC]
    with pytest.raises(LedAstrayError):
        places.addresses("blobs.example", 443)


def test_a_name_without_an_address_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreadableError, match=r"cache\.example has no address"):
        Places("https://cache.example").addresses("cache.example", 443)


@pytest.mark.parametrize(
    ("hosts", "is_named"),
    [(EVERYWHERE, [True, True, False]), (["blobs.example"], [True, True, True])],
)
def test_with_everywhere_only_the_surfaces_own_host_was_named(hosts: tuple[str, ...], is_named: list[bool]) -> None:
    urls = ["https://cache.example/x", "https://CACHE.example:444/x", "https://blobs.example/x"]
    places = Places("https://cache.example", hosts)
    assert [places.is_named(urlsplit(url)) for url in urls] == is_named


@pytest.mark.parametrize(
    ("url", "is_home"),
    [
        ("https://cache.example/x", True),
        ("https://CACHE.example:443/x", True),
        ("http://cache.example:443/x", False),
        ("https://cache.example:444/x", False),
        ("https://cache.example./x", False),
    ],
)
def test_home_is_the_same_scheme_host_and_port(url: str, is_home: bool) -> None:
    assert Places("https://cache.example").is_home(urlsplit(url)) is is_home
