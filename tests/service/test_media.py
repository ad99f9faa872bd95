"""Media types."""

import pytest

from service import media


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("image/*", False),
        ("application/json", False),
        ("image/png", True),
        ("Image/PNG;q=0.5", True),
        ("image/png, */*", True),
        ("text/html,image/png ; q=0.1", True),
        ("image/png, application/json", False),
        ("image/png;q=0", False),
        ("image/png, application/json;q=0.0", True),
        (",;,image/pngx", False),
    ],
)
def test_a_picture_is_wanted_where_it_is_named_and_json_is_not(accept, wanted):
    assert media.wants(media.PNG, accept) is wanted


def test_a_content_types_parameters_and_case_do_not_matter():
    assert media.media_type(b" Image/PNG ; charset=x") == media.PNG
