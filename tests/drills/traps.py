"""Values that services of this kind fall over: as JSON (`bytes`), in paths and queries (`str`), in headers. Knows no endpoint."""

from tests.drills.seeds import JSON, LENGTH

NUMBERS = [
    *(
        b"NaN Infinity -Infinity 1e400 -1e400 1e308 1e39 3.5e38 -3.5e38 1e-400 -0 -0.0 0 -1 1 2 7 1.5 01 1_0 +1 .5 1. 0x10 -"
        b" 32 33 64 1000 1025 100001 1000000000 2147483647 2147483648 4294967296 -2147483649 9007199254740993 18446744073709551616"
    ).split(),
    *(b"9" * 400, b"-" + b"9" * 30, b"0." + b"1" * 5000, b"1e" + b"9" * 50),
]
TEXTS = (
    b'"" " " "\\u0000" "a\\u0000b" "\\ud800" "\\udfff\\ud800" "\\ufeff" "\\u202e" "\\n\\r\\n" "nan" "inf" "1" "true" "null" "+1"'
    b' "1_0" "AAAA====" "data:," "data:image/png;base64," "../../etc/passwd" "%00" "{{7*7}}" "2018-13-45T99:99:99"'
    b' "9999-12-31T23:59:59" "0001-01-01T00:00:00+23:59" "0h" "-1h" "99999999999h" "1e9d" "UINT8" "BYTES" "FP16" "BF16"'
).split(b' "')
TEXTS = [text if text.startswith(b'"') else b'"' + text for text in TEXTS if text.strip(b'"')]
TEXTS += [b'""', b'" "', '"１"'.encode(), '"१"'.encode(), '"²"'.encode(), '"Ａ\u0301\u200d🏳️‍🌈"'.encode()]
TEXTS += [b'"\xed\xa0\x80"', b'"\xff\xfe"', b'"\xc3"', b'"' + b"A" * 300 + b'"', b'"' + b"lorem ipsum " * 400 + b'"']
TEXTS += [b'"' + b"x" * 100_000 + b'"', b'"' + "é".encode() * 3000 + b'"']
SHAPES = [
    b"null",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"[[]]",
    b"[{}]",
    b"[null]",
    b"[[[[1]]]]",
    b'{"a":1,"a":2}',
    b'{"":{}}',
    b"[1,[2]]",
]
SHAPES += [
    b"[" * 63 + b"]" * 63,
    b"[" * 66 + b"]" * 66,
    b"[" * 100_000,
    b'{"a":' * 70 + b"1" + b"}" * 70,
    b"[" + b"0," * 5000 + b"0]",
]
SHAPES += [
    b"[" + b'"a",' * 300 + b'"b"]',
    b"{" + b",".join(b'"k%d":1' % k for k in range(1200)) + b"}",
    b"[1,]",
    b"[1 2]",
    b'{"a"}',
    b"",
]
LARGE = (
    b"[],",
    b"{},",
    b"1,",
    b'"w",',
    b"[1],",
    b'["a","b"],',
    b'{"name":"image"},',
    b"[[[[0]]]],",
    b"null,",
    b"1e300,",
    b'{"a":{}},',
)
PLAIN = (
    "", " ", "0", "-1", "1", "2", "01", "+1", "1_0", "1.0", "1e3", "999999999", "99999999999999999999", "１", "१", "²", "nan", "NaN",
    "inf", "true", "yes", "null", "None", "[]", "a" * 70, "a" * 250, "../../etc/passwd", "..", ".", "\0", "\r\n", "\ud800", "\u202e", "é",
    "'\"<>", "%s%n", "${jndi:x}", "{{7*7}}", "con", "latest", "digits", "*", "😀" * 30,
)  # fmt: skip
NAMES = ("", "x", "a" * 200, "lorem ipsum " * 300, "__class__", "é", "\0", "model", "seed")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "get", "QUERY")
HEADERS = (
    ("Content-Type", ("", "application/json; charset=utf-16", "text/html", "application/x-www-form-urlencoded", "image/gif", "image/png",
     "text/plain; charset=latin-1", "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 300,
     "multipart/mixed; boundary=x", "application/octet-stream", "é", "a/b/c", ";;;", "application/json,text/plain", JSON)),
    ("Content-Encoding", ("rot13", "br", "gzip, gzip", "identity", "", "zstd", "gzip", "deflate", "compress")),
    ("Accept", ("image/png", "text/html", "*/*;q=0", ";;q=", "a" * 500, "application/json, image/png;q=nan", "image/png;q=1e400")),
    ("Accept-Encoding", ("gzip", "deflate", "identity;q=0", "*;q=0", "gzip;q=é", "gzip, deflate", "br")),
    ("X-Request-Id", ("a" * 64, "a" * 65, "a b", "é", "../../x", "", "<script>", "1\t2")),
    (LENGTH, ("", "0", "-1", "+5", "1_0", "１", "99999999999999999999", "5", "1e3", " 7 ", "a", "0x5")),
    ("Expect", ("100-continue", "200-ok")),
    ("Authorization", ("Bearer", "Bearer é", "Basic Og==", "Bearer " + "k" * 3000, "\xff")),
    ("X-API-Key", ("", "é", "k" * 3000)),
    ("Range", ("bytes=0-1", "bytes=-", "bytes=9-1", "bytes=0-0,1-1,2-2")),
    ("If-None-Match", ("*", '"x"', "é")),
    ("Upgrade", ("websocket", "h2c")),
    ("Connection", ("close", "upgrade", "keep-alive, x", "")),
    ("Cookie", ("a=b; " * 200, "=")),
    ("Forwarded", ("for=é",)),
    ("X-Forwarded-Prefix", ("/../..",)),
)  # fmt: skip
