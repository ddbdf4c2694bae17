"""Programs of Slurm that say what a test wants."""


def put_programs(monkeypatch, folder, **said):
    """Make PATH hold programs that print a text, or end with a code and a message.

    Each notes how it was called in a file of its name with ``.called``. One that is
    None is missing; there is nothing else on PATH.
    """
    folder.mkdir(exist_ok=True)
    for name in ("squeue", "sacct", "scancel", "scontrol"):
        text = said.get(name)
        path = folder / name
        path.unlink(missing_ok=True)
        if text is None:
            continue
        code, printed = text if isinstance(text, tuple) else (0, text)
        (folder / f"{name}.said").write_text(printed)
        stream = 2 if code else 1
        path.write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/{name}.called\n'
            f"/bin/cat {folder}/{name}.said >&{stream}\nexit {code}\n"
        )
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def list_calls(folder, name):
    """Return how a program was called, a line each."""
    path = folder / f"{name}.called"
    return path.read_text().splitlines() if path.exists() else []
