import json

from hooks.events import HookEvent, HookRejected, RequestFacts, StorageFacts, UploadFacts
from tests.records import START


def upload(**metadata: str) -> UploadFacts:
    return UploadFacts("", 11, 0, "alice", START, metadata=metadata)


def test_the_json_is_that_of_tusd_with_the_owner() -> None:
    request = RequestFacts(
        "POST",
        "/files/",
        "127.0.0.1:59395",
        {"host": ("localhost:8080",), "TUS-RESUMABLE": ("1.0.0",), "Upload-Length": ("11",)},
    )
    event = HookEvent("pre-create", upload(filename="a.png"), request)
    assert event.to_json() == {
        "Type": "pre-create",
        "Event": {
            "Upload": {
                "ID": "",
                "Size": 11,
                "SizeIsDeferred": False,
                "Offset": 0,
                "MetaData": {"filename": "a.png"},
                "IsPartial": False,
                "IsFinal": False,
                "PartialUploads": None,
                "Storage": None,
                "Owner": "alice",
            },
            "HTTPRequest": {
                "Method": "POST",
                "URI": "/files/",
                "RemoteAddr": "127.0.0.1:59395",
                "Header": {
                    "Host": ["localhost:8080"],
                    "Tus-Resumable": ["1.0.0"],
                    "Upload-Length": ["11"],
                },
            },
        },
    }
    assert json.loads(json.dumps(event.to_json())) == event.to_json()


def test_a_stored_final_upload_in_json() -> None:
    stored = UploadFacts(
        "u3",
        None,
        5,
        "alice",
        START,
        is_final=True,
        partial_uploads=("u1", "u2"),
        storage=StorageFacts("filestore", "/data/u3", "/data/u3.info"),
    )
    told = HookEvent("post-finish", stored).to_json()["Event"]
    assert told["HTTPRequest"] is None
    assert told["Upload"]["PartialUploads"] == ["u1", "u2"]
    assert (told["Upload"]["Size"], told["Upload"]["SizeIsDeferred"]) == (0, True)
    assert told["Upload"]["Storage"] == {
        "InfoPath": "/data/u3.info",
        "Path": "/data/u3",
        "Type": "filestore",
    }


def test_what_the_client_said_under_any_key() -> None:
    assert upload(filename="a", name="b").file_name == "a"
    assert upload(filename="", name="b").file_name == "b"
    for key in ("filetype", "type", "contentType", "content_type"):
        assert upload(**{key: "image/png"}).content_type == "image/png"
    assert upload(post_id="p1").post_id == "p1"
    silent = upload(post_id="")
    assert (silent.file_name, silent.content_type, silent.post_id) == (None, None, None)


def test_a_veto_carries_its_code_sentence_and_kind() -> None:
    veto = HookRejected("no", "Not today.", kind="forbidden")
    assert (veto.code, veto.message, veto.kind, str(veto)) == (
        "no",
        "Not today.",
        "forbidden",
        "Not today.",
    )
