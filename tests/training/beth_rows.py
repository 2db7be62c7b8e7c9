"""Small BETH files for the tests of training."""

HEADER = "processId,threadId,parentProcessId,userId,mountNamespace,argsNum,returnValue,sus_label"


def beth_csv(rows: int, suspicious: int) -> str:
    """The text of a CSV file whose first rows are suspicious and belong to user 1000; the others belong to root."""
    lines = [f"{i},{i},1,{1000 if i < suspicious else 0},4026531840,2,0,{int(i < suspicious)}" for i in range(rows)]
    return "\n".join([HEADER, *lines]) + "\n"
