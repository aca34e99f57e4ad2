"""A limit is a share of a certificate's life or a span."""

from __future__ import annotations

import pytest

from bundle_helper.settings.limits import parse_limit


@pytest.mark.parametrize("text", ["", "7", "0d", "1/1", "1/10", "7 d", "-1d", "2/3"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    """A limit is a share or a span and nothing else."""
    with pytest.raises(ValueError, match="is not a share"):
        parse_limit(text)
