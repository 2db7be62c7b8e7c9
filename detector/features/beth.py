"""The feature set `beth`: seven numbers of a BETH row, in BETH's column order."""

from detector.features.feature_set import Feature, FeatureSet

BETH = FeatureSet(
    "beth",
    (
        Feature("processId", field="processId"),
        Feature("threadId", field="threadId"),
        Feature("parentProcessId", field="parentProcessId"),
        Feature("userId", field="userId"),
        Feature("mountNamespace", field="mountNamespace"),
        Feature("argsNum", field="argsNum"),
        Feature("returnValue", field="returnValue"),
    ),
)
