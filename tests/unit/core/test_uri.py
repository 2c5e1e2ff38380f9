"""URIs: one grammar, no secrets in it, and a ConfigError for everything else."""

import pytest

from meshlib.core.uri import URI, parse, redact_url, service_key, service_name
from meshlib.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("static://h1:1,h2,[::1]:3", URI("static", (("h1", 1), ("h2", None), ("::1", 3)))),
        ("file:///etc/my%20orders.toml", URI("file", (), "/etc/my orders.toml")),
        ("dns://", URI("dns")),
        ("dns://:8080", URI("dns", (("", 8080),))),
        ("srv://_http._tcp.Orders.", URI("srv", (("_http._tcp.orders.", None),))),
        ("CONSUL://agent:1/orders?dc=eu&tag=a%26b", URI("consul", (("agent", 1),), "/orders", (("dc", "eu"), ("tag", "a&b")))),
        ("kubernetes://ns/service:80", URI("kubernetes", (("ns", None),), "/service:80")),
        ("dns://[FE80::1%25eth0]", URI("dns", (("fe80::1%eth0", None),))),
        ("dns://bücher.example:1", URI("dns", (("xn--bcher-kva.example", 1),))),
        ("consul://agent?token_file=/run/token", URI("consul", (("agent", None),), "", (("token_file", "/run/token"),))),
    ],
)  # fmt: skip
def test_parses(text: str, expected: URI) -> None:
    """Every form of the design gives its parts, and rendering them gives an equal URI."""
    assert parse(text) == expected
    assert parse(expected.render()) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("orders:8080", "write scheme://host:port/path"),
        ("1x://h", "no valid scheme"),
        ("://h", "no valid scheme"),
        ("dns://h#f", "%23"),
        ("dns://h/%ff", "not UTF-8"),
        ("dns://a,,b", "empty entry"),
        ("dns://::1", "[::1]:8080"),
        ("dns://[::1", "[::1]:8080"),
        ("dns://[::1]x", "[::1]:8080"),
        ("dns://[nonsense]", "not an IPv6 address"),
        ("dns://a:", "from 1 to 65535"),
        ("dns://a:0", "from 1 to 65535"),
        ("dns://a:65536", "from 1 to 65535"),
        ("dns://a:" + "9" * 10_000, "from 1 to 65535"),
        ("dns://a:٣", "from 1 to 65535"),
        ("dns://a b", "cannot hold ' '"),
        ("dns://a\x00", "cannot hold"),
        ("dns://a..b", "labels between its dots"),
        ("dns://.a", "labels between its dots"),
        ("dns://" + "a" * 254, "253 characters"),
        ("dns://\u2028", "internationalised"),
        ("dns://h?flag", "name=value"),
        ("dns://h?=1", "name=value"),
        ("dns://h?a=1&", "name=value"),
    ],
)
def test_refuses(text: str, hint: str) -> None:
    """A wrong text is a ConfigError that says what would be right, and is not repeated at length."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "consul://user:s3cret@agent",
        "consul://agent?token=s3cret",
        "consul://agent?X-Api-Key=s3cret",
        "consul://agent?db_password=s3cret&x",
        "consul://u:s3cret/s3cret@agent",
        "u:s3cret@agent",
        "consul://agent:s3cret@x:y?z",
    ],
)
def test_secrets_are_refused_and_not_repeated(text: str) -> None:
    """Userinfo and literal credentials are refused, and no error shows them."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "s3cret" not in str(caught.value)


def test_says_how_to_refer() -> None:
    """The error for a literal credential names the two ways to refer to one."""
    with pytest.raises(ConfigError, match=r"\?token_file=PATH or \?token_env=NAME"):
        parse("consul://agent?token=x")


def test_shown_without_credentials() -> None:
    """Text, repr and str leave out options about credentials, references included."""
    uri = parse("consul://agent:8500/orders?dc=eu&token_file=/run/t&token_env=T")
    assert str(uri) == uri.text == uri.redacted() == "consul://agent:8500/orders?dc=eu"
    assert repr(uri) == "URI('consul://agent:8500/orders?dc=eu')"


def test_reads_its_parts() -> None:
    """Host, port and options by name; of a repeated option the last wins and `values` has all."""
    uri = parse("dns://a:1,b:2?nameserver=x&nameserver=y&family=4")
    assert (uri.host, uri.port) == ("a", 1)
    assert uri.options == {"nameserver": "y", "family": "4"}
    assert uri.values("nameserver") == ("x", "y")
    empty = parse("dns://")
    assert (empty.host, empty.port, empty.options) == ("", None, {})


def test_only_known_options() -> None:
    """An option nobody knows is refused with the known ones."""
    uri = parse("dns://a?famly=4")
    assert uri.only("famly") is uri
    with pytest.raises(ConfigError, match="knows no option 'famly': known are family, nameserver"):
        uri.only("nameserver", "family")
    with pytest.raises(ConfigError, match="it has none"):
        uri.only()


@pytest.mark.parametrize(
    ("target", "key", "port", "path"),
    [
        ("orders", "orders", None, ""),
        ("Orders.:8080/v1", "orders:8080", 8080, "/v1"),
        ("http://orders/x?a=1#f", "orders", None, "/x"),
        ("http://orders:80", "orders", 80, ""),
        ("https://orders:80", "orders:80", 80, ""),
        ("https://orders:443/", "orders", 443, "/"),
        ("grpc://payments:443", "payments:443", 443, ""),
        ("http://[0:0::1]:8080", "[::1]:8080", 8080, ""),
        ("[::1]", "[::1]", None, ""),
        ("http://bücher.example", "xn--bcher-kva.example", None, ""),
    ],
)
def test_names_a_service(target: str, key: str, port: int | None, path: str) -> None:
    """The key is the host in lower case, with the port when it is not the scheme's own."""
    name = service_key(target)
    assert (name.key, name.port, name.path) == (key, port, path)


@pytest.mark.parametrize(
    "target", ["", "http://", "http:///x", "::1", "a,b", ":80", ".", "1://x", "a b", "http://a:b"]
)
def test_names_no_service(target: str) -> None:
    """What names no service is a ConfigError."""
    with pytest.raises(ConfigError):
        service_key(target)


def test_credentials_in_a_target() -> None:
    """Userinfo in a target is refused with the way to pass it, and not repeated."""
    with pytest.raises(ConfigError, match=r"pass auth=\(user, password\)") as caught:
        service_key("http://user:s3cret@orders")
    assert "s3cret" not in str(caught.value)


def test_names_from_parts() -> None:
    """The parts of a parsed URL give the same key as its text."""
    assert service_name("http", "Orders", 80).key == "orders"
    assert service_name("http", "0::1", 81).key == "[::1]:81"
    with pytest.raises(ConfigError):
        service_name("http", ".", None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@orders:80/v1/@me?token=1#f", "http://orders:80/v1/@me"),
        ("http://orders#u:p@x", "http://orders"),
        ("http://orders?u:p@x", "http://orders"),
        ("u:p@orders/x?y", "orders/x"),
        ("/v1?x", "/v1"),
        ("", ""),
    ],
)
def test_redacts(text: str, shown: str) -> None:
    """A shown URL has neither userinfo nor query nor fragment."""
    assert redact_url(text) == shown
