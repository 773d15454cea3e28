"""Real media for the tests, good and bad, made on the spot by ffmpeg, Pillow and pillow-heif.

Each function writes one small file to `path` and returns `path`.
"""

import io
import re
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pillow_heif
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

pillow_heif.register_heif_opener()

ORIENTATION = 0x0112
GPS = 0x8825
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


# Images: red above, blue below, a green square at the upper left, so that a turn is seen.


def picture(width: int = 400, height: int = 300, mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height // 2, width, height), fill=BLUE)
    draw.rectangle((0, 0, width // 4, height // 4), fill=GREEN)
    return image.convert(mode)


def make_jpeg(path: Path, width: int = 400, height: int = 300) -> Path:
    picture(width, height).save(path, "JPEG", quality=85)
    return path


def make_phone_jpeg(path: Path, orientation: int = 6, width: int = 400, height: int = 300) -> Path:
    """As phones store portraits: sideways pixels, an EXIF orientation, where it was taken."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    picture(width, height).save(path, "JPEG", exif=exif, comment=b"taken at home")
    return path


def make_heic(path: Path, width: int = 400, height: int = 300, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture(width, height).save(path, "HEIF", quality=60, exif=exif.tobytes())
    return path


def make_avif(path: Path, width: int = 400, height: int = 300) -> Path:
    picture(width, height).save(path, "AVIF", speed=10)
    return path


def make_webp(path: Path, width: int = 400, height: int = 300) -> Path:
    picture(width, height).save(path, "WEBP", method=0)
    return path


def make_png(path: Path, width: int = 400, height: int = 300) -> Path:
    picture(width, height).save(path, "PNG")
    return path


def make_animated_gif(path: Path, frames: int = 5) -> Path:
    first = picture()
    rest = [first.rotate(90 * turn) for turn in range(1, frames)]
    first.save(path, "GIF", save_all=True, append_images=rest, duration=80, loop=0)
    return path


def make_alpha_png(path: Path) -> Path:
    """Left half opaque blue, right half fully transparent with green hidden under it."""
    image = Image.new("RGBA", (400, 300), (*GREEN, 0))
    image.paste((*BLUE, 255), (0, 0, 200, 300))
    image.save(path, "PNG")
    return path


def make_grey16_png(path: Path) -> Path:
    """A plain middle grey in 16 bits, which a clipping conversion turns white."""
    Image.frombytes("I;16", (400, 300), struct.pack("<H", 0x7FFF) * (400 * 300)).save(path, "PNG")
    return path


def make_cmyk_jpeg(path: Path) -> Path:
    picture(mode="CMYK").save(path, "JPEG", quality=90)
    return path


def make_profiled_jpeg(path: Path) -> Path:
    """A JPEG whose embedded profile says that its red is green and its green is red."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = re.sub(b"([rg])XYZ", lambda tag: b"gXYZ" if tag[1] == b"r" else b"rXYZ", profile)
    picture().save(path, "JPEG", quality=90, icc_profile=swapped)
    return path


def make_flat_png(path: Path, side: int = 12_000) -> Path:
    """A decompression bomb: a few hundred kB which unpack to `side` squared pixels."""

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 3 * side)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = _png_chunk(b"IHDR", header), _png_chunk(b"IDAT", body), _png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def make_bomb_webp(path: Path, side: int = 12_000) -> Path:
    """A small animation on a vast canvas: 2 GiB in a careless decoder."""
    frames = picture(), picture().rotate(180)
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:], method=0)
    data = bytearray(path.read_bytes())
    data[24:30] = (side - 1).to_bytes(3, "little") * 2
    path.write_bytes(data)
    return path


def make_text_bomb_png(path: Path) -> Path:
    """A PNG whose compressed text unpacks to 64 MB."""
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", " " * 64_000_000, zip=True)
    picture().save(path, "PNG", pnginfo=info)
    return path


def make_half_jpeg(path: Path) -> Path:
    buffer = io.BytesIO()
    Image.effect_noise((800, 600), 80).convert("RGB").save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    return path


def make_eps(path: Path) -> Path:
    picture().save(path, "EPS")
    return path


def make_empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def make_text(path: Path) -> Path:
    path.write_text("This is no video, whatever its name may say.\n" * 200, encoding="utf-8")
    return path


# Videos.


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def _test_picture(seconds: float, size: str, rate: int) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=duration={seconds}:size={size}:rate={rate}"]


def _tone(seconds: float) -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]


_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_AAC = ("-c:a", "aac", "-b:a", "64k")


def make_mp4(
    path: Path, seconds: float = 2, size: str = "320x240", rate: int = 15, front: bool = True
) -> Path:
    """H.264 with AAC; the index is at the front, or else at the end."""
    flags = ("-movflags", "+faststart") if front else ()
    sources = (*_test_picture(seconds, size, rate), *_tone(seconds))
    _ffmpeg(*sources, *_H264, *_AAC, *flags, "-f", "mp4", path)
    return path


def make_phone_mp4(path: Path, clockwise: int = 90, seconds: float = 2) -> Path:
    """A clip as phones store it: `picture()` lying on its side, and a matrix that turns it."""
    still = make_png(path.with_name(path.name + ".png"), 320, 240)
    try:
        frames = ("-loop", "1", "-framerate", "15", "-t", str(seconds), "-i", still)
        ends = ("-movflags", "+faststart", "-f", "mp4")
        _ffmpeg(*frames, *_tone(seconds), *_H264, *_AAC, *ends, path)
    finally:
        still.unlink()
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[
        clockwise
    ]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + len(matrix)] = matrix
    path.write_bytes(data)
    return path


def make_mov(path: Path, seconds: float = 2) -> Path:
    """QuickTime with its index at the end."""
    sources = (*_test_picture(seconds, "320x240", 15), *_tone(seconds))
    _ffmpeg(*sources, *_H264, *_AAC, "-f", "mov", path)
    return path


def make_webm(path: Path, seconds: float = 2, live: bool = False) -> Path:
    """VP8 in WebM; a live one states no duration, as browsers record it."""
    flags = ("-live", "1") if live else ()
    codec = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
    _ffmpeg(*_test_picture(seconds, "320x240", 15), *codec, *flags, "-f", "webm", path)
    return path


def make_odd_webm(path: Path) -> Path:
    """319 x 177 px."""
    codec = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
    _ffmpeg(*_test_picture(1, "319x177", 15), *codec, "-f", "webm", path)
    return path


def make_matroska(path: Path) -> Path:
    _ffmpeg(*_test_picture(1, "320x240", 15), *_H264, "-f", "matroska", path)
    return path


def make_fragmented_mp4(path: Path, seconds: float = 2) -> Path:
    flags = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-g", "15")
    _ffmpeg(*_test_picture(seconds, "320x240", 15), *_H264, *flags, "-f", "mp4", path)
    return path


def make_long_mp4(path: Path, seconds: float = 181) -> Path:
    return make_mp4(path, seconds, rate=1)


def make_hdr_mp4(path: Path) -> Path:
    """Ten-bit HEVC tagged as HLG, as phones record HDR."""
    tags = ("-color_trc", "arib-std-b67", "-color_primaries", "bt2020", "-colorspace", "bt2020nc")
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    form = ("-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", "-f", "mp4")
    _ffmpeg(*_test_picture(1, "320x240", 10), *codec, *tags, *form, path)
    return path


def make_anamorphic_mp4(path: Path) -> Path:
    """320 x 240 stored, shown twice as wide."""
    _ffmpeg(*_test_picture(1, "320x240", 10), "-vf", "setsar=2", *_H264, "-f", "mp4", path)
    return path


def make_mpeg2_mp4(path: Path) -> Path:
    """A sound MP4 in a codec that is not on the list."""
    _ffmpeg(*_test_picture(1, "320x240", 25), "-c:v", "mpeg2video", "-f", "mp4", path)
    return path


def make_two_track_mp4(path: Path, second: str = "1280x720") -> Path:
    sources = (*_test_picture(1, "320x240", 10), *_test_picture(1, second, 10))
    _ffmpeg(*sources, "-map", "0:v", "-map", "1:v", *_H264, "-f", "mp4", path)
    return path


def make_audio_mp4(path: Path) -> Path:
    _ffmpeg(*_tone(2), *_AAC, "-f", "mp4", path)
    return path


def make_cover_art_mp4(path: Path) -> Path:
    """Sound with a cover: its only picture is a still."""
    cover = make_jpeg(path.with_name(path.name + ".jpg"))
    try:
        maps = ("-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v:0", "attached_pic")
        _ffmpeg(*_tone(2), "-i", cover, *maps, *_AAC, "-f", "mp4", path)
    finally:
        cover.unlink()
    return path


def make_black_start_mp4(path: Path, black: float = 2, seconds: float = 6) -> Path:
    """Black for a while, then the test picture."""
    cover = f"drawbox=color=black:t=fill:enable='lt(t,{black})'"
    _ffmpeg(*_test_picture(seconds, "320x240", 10), "-vf", cover, *_H264, "-f", "mp4", path)
    return path


def make_filtered_mp4(path: Path, vf: str, seconds: float = 6) -> Path:
    """The test picture behind filters of ffmpeg."""
    _ffmpeg(*_test_picture(seconds, "320x240", 10), "-vf", vf, *_H264, "-f", "mp4", path)
    return path


def make_black_mp4(path: Path) -> Path:
    _ffmpeg("-f", "lavfi", "-i", "color=black:s=320x240:d=2:r=10", *_H264, "-f", "mp4", path)
    return path


def make_one_frame_mp4(path: Path) -> Path:
    """One frame that is shown for one second."""
    _ffmpeg(*_test_picture(1, "320x240", 1), "-frames:v", "1", *_H264, "-f", "mp4", path)
    return path


def make_truncated_mp4(path: Path, front: bool = True) -> Path:
    """The last third is missing: only pictures, or the index as well."""
    whole = make_mp4(path, front=front).read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return path


def make_truncated_webm(path: Path) -> Path:
    whole = make_webm(path).read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return path


# Files which lie, and files which attack.


def _patched(path: Path, box: bytes, offset: int, value: bytes) -> None:
    """Overwrite `value` at `offset` behind the name of every box called `box`."""
    data = bytearray(path.read_bytes())
    places = [match.end() for match in re.finditer(re.escape(box), bytes(data))]
    if not places:
        raise ValueError(f"There is no box {box!r} in {path}.")
    for place in places:
        data[place + offset : place + offset + len(value)] = value
    path.write_bytes(data)


def make_hostile_stts_mp4(path: Path) -> Path:
    """Four edited bytes: a table of 4,294,967,280 entries, in which libmediainfo spins for ever."""
    _patched(make_mp4(path), b"stts", 4, b"\xff\xff\xff\xf0")
    return path


def make_lying_size_mp4(path: Path) -> Path:
    """4104 px wide in truth, 640 px by its headers."""
    make_mp4(path, seconds=1, size="4104x100", rate=5)
    _patched(path, b"tkhd", 76, struct.pack(">I", 640 << 16))
    _patched(path, b"avc1\0\0\0\0\0\0\0\1", 16, struct.pack(">H", 640))
    return path


def make_lying_long_mp4(path: Path) -> Path:
    """Two seconds in truth, 40,000 by the header of the film."""
    _patched(make_mp4(path), b"mvhd", 16, struct.pack(">I", 40_000_000))
    return path


def make_lying_short_mp4(path: Path) -> Path:
    """200 s of frames in truth, 10 s by all headers."""
    _ffmpeg(*_test_picture(200, "320x240", 10), *_H264, "-f", "mp4", path)
    data = path.read_bytes()
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    _patched(path, b"mvhd", 16, struct.pack(">I", 10_000))
    _patched(path, b"tkhd", 20, struct.pack(">I", 10_000))
    _patched(path, b"elst", 8, struct.pack(">I", 10_000))
    _patched(path, b"mdhd", 16, struct.pack(">I", 10 * scale))
    return path


def make_hls(path: Path, url: str) -> Path:
    """A playlist that makes a careless decoder fetch `url`."""
    path.write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:5.0,\n{url}\n#EXT-X-ENDLIST\n",
        encoding="ascii",
    )
    return path


def make_dash(path: Path, url: str) -> Path:
    """A manifest that makes a careless decoder fetch `url`."""
    path.write_text(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT5S" profiles="urn:mpeg:dash:profile:isoff-main:2011">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000">'
        f"<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        encoding="ascii",
    )
    return path


def make_header_png(path: Path, side: int = 65_000) -> Path:
    """88 bytes that announce 4 gigapixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = _png_chunk(b"IHDR", header), _png_chunk(b"IDAT", b""), _png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def make_vast_gif(path: Path) -> Path:
    """One pixel on a canvas of 65,535 squared."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
    path.write_bytes(screen + _gif_frame(65535, 65535) + b";")
    return path


def make_many_frames_gif(path: Path, side: int = 4000, frames: int = 5000) -> Path:
    """A hundred kB which unpack to frame after frame of 16 megapixels."""
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    path.write_bytes(screen + _gif_frame(1, 1) * frames + b";")
    return path


def _gif_frame(width: int, height: int) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"


def make_vast_jpeg(path: Path, side: int = 65_000) -> Path:
    """A small JPEG whose frame header announces 4 gigapixels."""
    data = bytearray(make_jpeg(path).read_bytes())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", side, side)
    path.write_bytes(data)
    return path


def make_vast_avif(path: Path, form: str = "AVIF") -> Path:
    """A small picture whose `ispe` announces 4 gigapixels."""
    picture().save(path, form)
    _patched(path, b"ispe", 4, struct.pack(">II", 65_000, 65_000))
    return path


def make_vast_heic(path: Path) -> Path:
    return make_vast_avif(path, "HEIF")


def make_profile_bomb_png(path: Path) -> Path:
    """A PNG whose compressed colour profile unpacks to 200 MB."""
    return _with_chunk(path, b"iCCP", b"bomb\0\0" + _zeros(200))


def make_itxt_bomb_png(path: Path) -> Path:
    """A PNG whose compressed international text unpacks to 200 MB."""
    return _with_chunk(path, b"iTXt", b"bomb\0\x01\0\0\0" + _zeros(200))


def _zeros(mib: int) -> bytes:
    packer, block = zlib.compressobj(9), bytes(1024 * 1024)
    return b"".join(packer.compress(block) for _ in range(mib)) + packer.flush()


def _with_chunk(path: Path, name: bytes, data: bytes) -> Path:
    whole = make_png(path).read_bytes()
    path.write_bytes(whole[:33] + _png_chunk(name, data) + whole[33:])
    return path


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def make_rgb16_png(path: Path) -> Path:
    """A plain colour in three times 16 bits."""
    row = b"\0" + struct.pack(">HHH", 0x4000, 0x8000, 0xC000) * 400
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 400, 300, 16, 2, 0, 0, 0))
    body = _png_chunk(b"IDAT", zlib.compress(row * 300)) + _png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    return path


def make_mpo(path: Path) -> Path:
    """Two pictures in one JPEG, as phones store depth and HDR gain."""
    picture().save(path, "MPO", save_all=True, append_images=[picture().rotate(180)])
    return path


def make_animation(path: Path, form: str, frames: int = 60) -> Path:
    rest = [picture().rotate(6 * turn) for turn in range(1, frames)]
    quick = {"WEBP": {"method": 0}, "AVIF": {"speed": 10}}.get(form, {})
    picture().save(path, form, save_all=True, append_images=rest, duration=50, **quick)
    return path


# Polyglots: sound media that are something else as well.

HTML = b"<html><script>alert(document.domain)</script></html>"


def make_script_jpeg(path: Path) -> Path:
    """A page in its comment, and another behind its end."""
    picture().save(path, "JPEG", comment=HTML)
    path.write_bytes(path.read_bytes() + HTML)
    return path


def make_zip_gif(path: Path) -> Path:
    """An archive behind the picture, which programs for archives open."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.html", HTML)
    path.write_bytes(make_animated_gif(path).read_bytes() + buffer.getvalue())
    return path


def make_script_gif(path: Path) -> Path:
    """A GIF that is a valid script too: its width begins a comment."""
    screen = b"GIF89a" + b"/*" + struct.pack("<HBBB", 300, 0x80, 0, 0) + bytes(6)
    script = b"*/=1;alert(1);//"
    comment = b"!\xfe" + bytes([len(script)]) + script + b"\0"
    path.write_bytes(screen + comment + _gif_frame(0x2A2F, 300) + b";")
    return path


def make_pdf_png(path: Path) -> Path:
    """A document within the first KiB, where its readers look for it."""
    return _with_chunk(path, b"prVt", b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<<>>\n")


def make_page_mp4(path: Path) -> Path:
    """A page in the free space of a film."""
    page = struct.pack(">I4s", 8 + len(HTML), b"free") + HTML
    path.write_bytes(make_mp4(path).read_bytes() + page)
    return path


def make_svg(path: Path) -> Path:
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{HTML.decode()}</svg>')
    return path


def make_html(path: Path) -> Path:
    path.write_bytes(b"<!doctype html>" + HTML)
    return path


# Films with odd clocks, and films that lie.


def make_vfr_mp4(path: Path) -> Path:
    """Three seconds, the middle one with a third of the frames."""
    drop = "select='not(between(t,1,2))+not(mod(n,3))'"
    _ffmpeg(
        *_test_picture(3, "320x240", 30), *("-vf", drop, "-vsync", "vfr"), *_H264, "-f", "mp4", path
    )
    return path


def make_edited_mp4(path: Path) -> Path:
    """Three seconds of frames of which an edit list shows the last two."""
    whole = path.with_name(path.name + ".whole")
    try:
        _ffmpeg(*_test_picture(3, "320x240", 15), *_H264, "-g", "60", "-f", "mp4", whole)
        _ffmpeg("-ss", "1", "-i", whole, "-c", "copy", "-f", "mp4", path)
    finally:
        whole.unlink()
    return path


def make_turned_hdr_mov(path: Path) -> Path:
    """As iPhones film portraits: ten-bit HEVC in HLG, and a matrix."""
    flat = make_hdr_mp4(path.with_name(path.name + ".flat"))
    try:
        _ffmpeg("-i", flat, "-c", "copy", "-tag:v", "hvc1", "-f", "mov", path)
    finally:
        flat.unlink()
    start = path.read_bytes().index(b"tkhd") + 44
    turn = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    data[start : start + len(turn)] = turn
    path.write_bytes(data)
    return path


def make_ftyp_only(path: Path) -> Path:
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isommp41")
    return path


def make_timeless_mp4(path: Path) -> Path:
    """Two seconds in truth, none by all headers."""
    _ffmpeg(*_test_picture(2, "320x240", 10), *_H264, "-f", "mp4", path)
    for box, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"elst", 8), (b"mdhd", 16)):
        _patched(path, box, offset, bytes(4))
    return path


def make_nested_mp4(path: Path, depth: int = 60_000) -> Path:
    """A film with a Russian doll of boxes in it, and one behind it."""
    doll = b"".join(struct.pack(">I4s", 8 * count, b"udta") for count in range(depth, 0, -1))
    whole = bytearray(make_mov(path).read_bytes())
    start = whole.index(b"moov") - 4
    size = struct.unpack_from(">I", whole, start)[0]
    whole[start : start + 4] = struct.pack(">I", size + len(doll))
    path.write_bytes(bytes(whole[: start + size]) + doll + bytes(whole[start + size :]) + doll)
    return path


def make_fade_mp4(path: Path) -> Path:
    """Black that turns into a picture within two seconds and a half."""
    fade = ("-vf", "fade=in:st=0:d=2.5")
    _ffmpeg(*_test_picture(6, "320x240", 10), *fade, *_H264, "-f", "mp4", path)
    return path


# Files with private metadata. Whatever is private says SECRET.

SECRET = "SECRET"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    f'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:creator="{SECRET}"/></rdf:RDF></x:xmpmeta>'
).encode()


def _private_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = f"{SECRET} Phones"
    exif[0x0132] = f"2026:11:22 12:00:00 {SECRET}"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 29: SECRET})
    return exif


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def make_private_jpeg(path: Path, orientation: int = 6, progressive: bool = False) -> Path:
    """EXIF, XMP, IPTC, comments, a colour profile, and a second picture behind the first."""
    buffer = io.BytesIO()
    picture().save(
        buffer,
        "JPEG",
        quality=85,
        exif=_private_exif(orientation),
        xmp=XMP,
        icc_profile=_profile(),
        comment=SECRET,
        progressive=progressive,
        restart_marker_rows=1,
    )
    data = buffer.getvalue()
    iptc = b"Photoshop 3.0\0" + SECRET.encode()
    makers = b"\xff\xed" + struct.pack(">H", 2 + len(iptc)) + iptc
    first = data.index(b"\xff\xdb")
    end = b"\xff\xd8\xff\xe1\x00\x0cExif\0\0SECRET"
    path.write_bytes(data[:first] + makers + data[first:] + end)
    return path


def make_private_png(path: Path, orientation: int = 6) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", SECRET)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add(b"tIME", b"\x07\xea\x0b\x16\x0c\x00\x00")
    info.add(b"prVt", SECRET.encode())
    exif = _private_exif(orientation)
    picture().save(path, "PNG", pnginfo=info, exif=exif, icc_profile=_profile(), dpi=(72, 72))
    path.write_bytes(path.read_bytes() + SECRET.encode())
    return path


def make_private_webp(path: Path, orientation: int = 6, frames: int = 1) -> Path:
    rest = [picture().rotate(90 * turn) for turn in range(1, frames)]
    facts = {"exif": _private_exif(orientation), "xmp": XMP, "icc_profile": _profile()}
    several = {"save_all": True, "append_images": rest} if rest else {}
    picture().save(path, "WEBP", method=0, **facts, **several)
    return path


def make_private_gif(path: Path) -> Path:
    """A comment, and XMP with the magic trailer that leads its readers out of it."""
    data = make_animated_gif(path).read_bytes()
    start = 13 + 3 * 2 ** (1 + (data[10] & 7))
    comment = b"\x21\xfe\x06" + SECRET.encode() + b"\0"
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    xmp = b"\x21\xff\x0bXMP DataXMP" + XMP + trailer
    path.write_bytes(data[:start] + comment + xmp + data[start:] + SECRET.encode())
    return path


def make_private_heic(path: Path, form: str = "HEIF") -> Path:
    picture().save(path, form, quality=60, exif=_private_exif().tobytes(), xmp=XMP)
    return path


def make_private_avif(path: Path) -> Path:
    return make_private_heic(path, "AVIF")


_PRIVATE_FACTS = (
    *("-metadata", f"title={SECRET}", "-metadata", f"comment={SECRET}"),
    *("-metadata", "location=+52.5200+013.4050/", "-metadata", f"location-eng={SECRET}"),
    *("-metadata", "creation_time=2026-11-22T12:00:00Z"),
)


def make_private_mp4(path: Path, form: str = "mp4", *, fragmented: bool = False) -> Path:
    """Place, title and times, a track of telemetry as drones write it, and a maker's trailer."""
    telemetry = path.with_name(path.name + ".srt")
    telemetry.write_text(f"1\n00:00:00,000 --> 00:00:01,500\n{SECRET} 52.52 13.40\n")
    flags = "frag_keyframe+empty_moov" if fragmented else "use_metadata_tags"
    sources = (*_test_picture(2, "320x240", 15), *_tone(2), "-i", telemetry)
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:s", "mov_text", "-movflags", flags)
    try:
        _ffmpeg(*sources, *maps, *_H264, *_AAC, *_PRIVATE_FACTS, "-f", form, path)
    finally:
        telemetry.unlink()
    name = SECRET.encode() * 3
    trailer = struct.pack(">I4s", 8 + len(name), b"sefd") + name + b"\0\0\xff\0\1\2\3\4" + name
    path.write_bytes(path.read_bytes() + (b"" if fragmented else trailer))
    return path


def make_private_mov(path: Path) -> Path:
    return make_private_mp4(path, "mov")


def make_private_webm(path: Path, live: bool = False) -> Path:
    flags = ("-live", "1") if live else ()
    codec = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
    _ffmpeg(*_test_picture(2, "320x240", 15), *codec, *_PRIVATE_FACTS, *flags, "-f", "webm", path)
    return path
