"""The page must tell every field of an item and the limits in force."""

from devops_api.items.guide import create_guide
from devops_api.items.schema import create_schemas
from devops_api.items.settings import Settings


def test_guide_lists_every_field_and_who_sets_it() -> None:
    (section,) = create_guide(Settings()).sections
    for name in create_schemas()["Item"]["properties"]:
        assert f"<td><code>{name}</code></td>" in section.html
    assert "<td><code>price</code></td><td>number</td><td>client, required</td>" in section.html
    assert "<td><code>sku</code></td><td>string or null</td><td>client</td>" in section.html
    assert "<td><code>version</code></td><td>integer</td><td>service</td>" in section.html


def test_guide_shows_the_limits_in_force() -> None:
    guide = create_guide(Settings(max_body_bytes=8 * 1024 * 1024, export_timeout_s=12))
    limits = {limit.subject: limit.value for limit in guide.limits}
    assert limits["Batch"] == "1000 items, 8 MiB"
    assert limits["Duration of an export"].startswith("12 s;")
    assert {limit.subject: limit.value for limit in create_guide(Settings()).limits}["Batch"] == "1000 items, 4 MiB"
