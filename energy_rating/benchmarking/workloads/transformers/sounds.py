"""Sound files as numbers, at the rate that a model takes."""

from __future__ import annotations

import io
import wave
from typing import Any

from energy_rating.benchmarking.workloads.transformers.library import need
from energy_rating.nouns.errors import BadInput, first_line


def samples(content: bytes) -> tuple[Any, int]:
    """Samples from −1 to 1 of all channels together, and their rate in Hz: of a WAV file, or of what soundfile can read.

    Raises:
        BadInput: it is no such file, or soundfile is not installed.
    """
    import numpy as np

    if content[:4] == b"RIFF":
        try:
            with wave.open(io.BytesIO(content)) as file:
                if file.getsampwidth() == 2:
                    raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
                    sound = raw.reshape(-1, file.getnchannels()).mean(axis=1) / 32768.0
                    return sound.astype(np.float32), file.getframerate()
        except (wave.Error, EOFError, ValueError):
            pass  # a kind of WAV that Python does not know
    need("soundfile", "Give 16-bit WAV files, or run: pip install soundfile", "audio")
    import soundfile

    try:
        sound, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise BadInput(
            f"the sound cannot be read ({first_line(error)})", "Give a WAV or a FLAC file"
        ) from error
    return sound.mean(axis=1), int(rate)


def resampled(sound: Any, rate: int, wanted: int) -> Any:
    """The sound at another rate, with the frequencies that both can carry (its Fourier series, cut off or filled up with zeros)."""
    import numpy as np

    if rate == wanted or len(sound) == 0:
        return sound
    n = max(1, round(len(sound) * wanted / rate))
    series = np.fft.rfft(sound)
    kept = np.zeros(n // 2 + 1, dtype=series.dtype)
    common = min(len(series), len(kept))
    kept[:common] = series[:common]
    return (np.fft.irfft(kept, n) * (n / len(sound))).astype(np.float32)
