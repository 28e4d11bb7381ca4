from __future__ import annotations

import signal

import pytest

from experiments.devices.signals import STOP_SIGNALS, on_stop_signal


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.default_int_handler])
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_second_signal_is_heard_though_it_was_ignored(number, before, capsys):
    """As SIGINT is by what a shell script starts in the background."""
    kept = signal.signal(number, before)
    heard: list[bool] = []

    def stop() -> bool:
        heard.append(True)
        return True

    try:
        with on_stop_signal(stop):
            signal.raise_signal(number)
            assert heard == [True]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert heard == [True]
        assert signal.getsignal(number) is before
    finally:
        signal.signal(number, kept)
    assert "interrupt again to stop at once" in capsys.readouterr().err
