"""Small BETH files for the tests of training."""

from collections.abc import Callable

HEADER = "processId,threadId,parentProcessId,userId,mountNamespace,argsNum,returnValue,sus_label"


def beth_csv(rows: int, suspicious: int, label: Callable[[int], int] | None = None) -> str:
    """The text of a CSV file whose first rows are suspicious and belong to user 1000; the others belong to root.

    Args:
        rows: how many rows.
        suspicious: how many of them belong to user 1000.
        label: another label for a row by its number, as in a file whose labels are wrong.
    """
    label = label or (lambda i: int(i < suspicious))
    lines = [f"{i},{i},1,{1000 if i < suspicious else 0},4026531840,2,0,{label(i)}" for i in range(rows)]
    return "\n".join([HEADER, *lines]) + "\n"
