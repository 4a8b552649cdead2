"""The page with a server that mattes: previews, jobs, and who comes when."""

import io
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.clips import alpha_plane, read_frames, to_rgb, write_clip
from tests.support.gateway import Gateway, serving
from tests.support.web_page import RunningPage, Visitor, page_options

from rvm_export.verify.goldens import INT8_CASES

FRAMES = 33


@pytest.fixture(scope="module")
def page(triton_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    with RunningPage(page_options(tmp_path_factory.mktemp("state"), triton_url)) as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A person, for a little more than a second."""
    portrait = INT8_CASES[0].src
    frames = [portrait[i % len(portrait)] for i in range(FRAMES)]
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames).read_bytes()


@pytest.fixture(scope="module")
def ready(page: RunningPage, clip: bytes) -> tuple[Visitor, dict[str, Any]]:
    """Somebody with a video, and its preview."""
    visitor = page.visitor()
    video = visitor.looked_at(clip, "me.mp4")
    return visitor, visitor.wait_for(video["id"], is_over_of_preview)


def is_over_of_preview(video: dict[str, Any]) -> bool:
    return video["preview"] is not None and video["preview"]["state"] in ("done", "failed")


def all_over(video: dict[str, Any]) -> bool:
    return all(job["state"] in ("done", "failed", "cancelled") for job in video["jobs"])


def job_of(visitor: Visitor, video: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A job, done."""
    body = {"fields": {}, "output_types": ["matte"], "look": "webm"} | more
    job = visitor.post(f"/api/videos/{video['id']}/jobs", body)
    shown = visitor.wait_for(video["id"], all_over)
    (done,) = [one for one in shown["jobs"] if one["id"] == job["id"]]
    return done  # type: ignore[no-any-return]


def fetched(visitor: Visitor, url: str, folder: Path) -> Path:
    path = folder / url.rpartition("/")[2]
    path.write_bytes(visitor.call("GET", url).content)
    return path


def test_the_first_second_is_matted_at_once(
    ready: tuple[Visitor, dict[str, Any]], tmp_path: Path
) -> None:
    visitor, video = ready
    preview = video["preview"]
    assert (preview["state"], preview["kind"], preview["error"]) == ("done", "webm", None)
    look = fetched(visitor, preview["look_url"], tmp_path)
    before = fetched(visitor, preview["source_url"], tmp_path)
    seen = [frame.time for frame in read_frames(look)]
    assert len(seen) == preview["frames"] == 30
    assert [frame.time for frame in read_frames(before)] == pytest.approx(seen, abs=0.002)
    alphas = [alpha_plane(frame) for frame in read_frames(look, decoder="libvpx-vp9")]
    # Somebody is there, and something was taken away.
    assert 0.05 < alphas[-1].mean() / 255 < 0.95


def test_several_formats_of_one_inference(
    ready: tuple[Visitor, dict[str, Any]], tmp_path: Path
) -> None:
    visitor, video = ready
    types = ["alpha", "greenscreen", "foreground_and_matte", "png_sequence"]
    with visitor.listening() as events:
        fields = {"background": "#ff0000", "warm_start": False}
        job = job_of(visitor, video, output_types=types, fields=fields)
        told = _until(events, lambda kind, x: kind == "job" and x["state"] == "done")
    assert job["state"] == "done", job
    done = [x["frames_done"] for kind, x in told if kind == "job" and x["state"] == "working"]
    assert done == sorted(done)
    assert {x["doing"] for kind, x in told if kind == "job"} >= {"starting", "matting"}
    assert [f["output_type"] for f in job["files"]].count("foreground_and_matte") == 2
    assert {f["output_type"] for f in job["files"]} == {*types}
    for file in job["files"]:
        path = fetched(visitor, file["url"], tmp_path)
        assert path.stat().st_size == file["bytes"]
        assert file["name"].startswith(f"me-{file['output_type']}")
        if file["output_type"] == "png_sequence":
            names = zipfile.ZipFile(path).namelist()
            assert len([name for name in names if name.endswith(".png")]) == FRAMES
        else:
            assert len(list(read_frames(path))) == FRAMES
    (green,) = [f for f in job["files"] if f["output_type"] == "greenscreen"]
    first = to_rgb(next(read_frames(fetched(visitor, green["url"], tmp_path))))
    assert first[2, 2] == pytest.approx([255, 0, 0], abs=40)
    # What there is to look at is the file with alpha itself, beside the video as it came.
    (alpha,) = [f for f in job["files"] if f["output_type"] == "alpha"]
    assert job["look"]["look_url"] == alpha["url"]
    assert job["look"]["source_url"] == video["source_url"]
    answer = visitor.call("GET", green["url"] + "?download=1")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="me-greenscreen.mp4"'
    body = {"fields": fields, "output_types": types}
    estimate = visitor.post(f"/api/videos/{video['id']}/estimate", body)
    assert estimate["seconds"] > 0
    assert estimate["bytes"] == pytest.approx(sum(f["bytes"] for f in job["files"]), rel=0.01)
    assert "like this one" in estimate["based_on"]


def test_the_set_for_a_page_names_its_files_as_they_are_downloaded(
    ready: tuple[Visitor, dict[str, Any]], tmp_path: Path
) -> None:
    visitor, video = ready
    fields = {"end_seconds": 0.3, "background": "#ff0000"}
    job = job_of(visitor, video, output_types=["auto_web", "alpha", "greenscreen"], fields=fields)
    assert job["state"] == "done", job
    found = [f for f in job["files"] if f["output_type"] == "auto_web"]
    names = {file["role"]: file["name"] for file in found}
    assert names == {
        "output": "me-auto_web.webm",
        "hevc": "me-auto_web.mov",
        "poster": "me-auto_web.webp",
        "page": "me-auto_web.html",
    }
    assert [f["output_type"] for f in job["files"]].count("alpha") == 1
    files = {file["role"]: fetched(visitor, file["url"], tmp_path) for file in found}
    page = files.pop("page").read_text()
    assert all(f'"{name}"' in page for role, name in names.items() if role != "page")
    with Image.open(files.pop("poster")) as poster:
        assert poster.mode == "RGBA"
    counts = {role: len(list(read_frames(path))) for role, path in files.items()}
    assert counts == {"output": 9, "hevc": 9}


def _until(
    events: Iterator[tuple[str, Any]], is_last: Callable[[str, Any], bool]
) -> list[tuple[str, Any]]:
    told = []
    for kind, payload in events:
        told.append((kind, payload))
        if is_last(kind, payload):
            break
    return told


def test_a_part_and_the_same_part_before(
    ready: tuple[Visitor, dict[str, Any]], tmp_path: Path
) -> None:
    visitor, video = ready
    fields = {"start_seconds": 0.5, "end_seconds": 0.8}
    job = job_of(visitor, video, fields=fields, look="stacked")
    assert job["state"] == "done", job
    assert job["look"]["kind"] == "stacked"
    look = fetched(visitor, job["look"]["look_url"], tmp_path)
    assert {frame.height for frame in read_frames(look)} == {2 * video["height"]}
    before = fetched(visitor, job["look"]["source_url"], tmp_path)
    times = [frame.time for frame in read_frames(look)]
    assert len(times) == 9
    assert [frame.time for frame in read_frames(before)] == pytest.approx(times, abs=0.002)
    # The look is for looking at, and no file to download.
    assert [file["output_type"] for file in job["files"]] == ["matte"]


def test_a_background_that_was_uploaded(
    ready: tuple[Visitor, dict[str, Any]], tmp_path: Path
) -> None:
    from PIL import Image

    visitor, video = ready
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (0, 0, 250)).save(picture, "PNG")
    path = f"/api/videos/{video['id']}/background?name=../x.png"
    given = visitor.call("PUT", path, data=picture.getvalue()).json()["background"]
    fields = {"background": given, "end_seconds": 0.1}
    job = job_of(visitor, video, output_types=["greenscreen"], fields=fields)
    assert job["state"] == "done", job
    first = to_rgb(next(read_frames(fetched(visitor, job["files"][0]["url"], tmp_path))))
    assert first[2, 2] == pytest.approx([0, 0, 250], abs=40)
    text = visitor.call("PUT", path, data=b"no picture").json()["background"]
    job = job_of(visitor, video, output_types=["greenscreen"], fields={"background": text})
    assert job["state"] == "failed"
    assert "/" not in job["error"].replace("and/or", "")


def test_cancelled_at_work(page: RunningPage, ready: tuple[Visitor, dict[str, Any]]) -> None:
    visitor, video = ready
    body = {"fields": {"downsample_ratio": 1}, "output_types": ["matte"]}
    job = visitor.post(f"/api/videos/{video['id']}/jobs", body)
    visitor.wait_for(video["id"], lambda v: v["jobs"][-1]["state"] == "working")
    assert visitor.call("DELETE", f"/api/jobs/{job['id']}").status_code == 204
    shown = visitor.wait_for(video["id"], all_over)
    assert shown["jobs"][-1]["state"] == "cancelled"
    assert not [*page.options.state.rglob(f"*{job['id']}*")]


def test_two_browsers_take_turns(page: RunningPage, clip: bytes) -> None:
    one, other = page.visitor(), page.visitor()
    mine, theirs = one.looked_at(clip)["id"], other.looked_at(clip)["id"]
    # The first takes long enough for all to be there.
    slow, quick = ({"fields": {"downsample_ratio": ratio}} for ratio in (1, 0.1))
    for fields in (slow, quick, quick):
        one.post(f"/api/videos/{mine}/jobs", {**fields, "output_types": ["matte"]})
    body = {"fields": {"end_seconds": 0.1}, "output_types": ["matte"]}
    job = other.post(f"/api/videos/{theirs}/jobs", body)
    places = [job["place"] for job in one.video(mine)["jobs"]]
    assert (places, job["place"]) in [([0, 1, 3], 2), ([1, 3, 4], 2)]
    # Nobody sees whose jobs are before theirs, but how many.
    assert other.video(theirs)["jobs"] == [job]
    one.post("/api/forget")
    assert other.wait_for(theirs, all_over)["jobs"][0]["state"] == "done"


def test_a_server_that_is_away_for_a_while(triton_url: str, tmp_path: Path, clip: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with RunningPage(page_options(tmp_path, f"127.0.0.1:{port}")) as page:
        visitor = page.visitor()
        with visitor.listening() as events:
            _until(events, lambda kind, x: kind == "machine" and x["state"] == "lost")
            video = visitor.looked_at(clip)
            with serving(Gateway(triton_url), port=port):
                _until(events, lambda kind, x: kind == "machine" and x["state"] == "ready")
                shown = visitor.wait_for(video["id"], is_over_of_preview)
        assert shown["preview"]["state"] == "done"


def test_a_job_under_way_begins_again(triton_url: str, tmp_path: Path, clip: bytes) -> None:
    body = {"fields": {}, "output_types": ["matte"]}
    with RunningPage(page_options(tmp_path, triton_url)) as page:
        visitor = page.visitor()
        video = visitor.looked_at(clip)
        visitor.post(f"/api/videos/{video['id']}/jobs", body)
        visitor.wait_for(video["id"], lambda v: v["jobs"][0]["doing"] == "matting")
        assert visitor.video(video["id"])["jobs"][0]["state"] == "working"
    with RunningPage(page_options(tmp_path, triton_url)) as page:
        visitor.url = page.url
        shown = visitor.wait_for(video["id"], all_over)
    (job,) = shown["jobs"]
    assert (job["state"], job["frames_done"]) == ("done", FRAMES)
    assert shown["preview"]["state"] in ("done", "queued", "working")
