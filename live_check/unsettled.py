"""What the check cannot settle, with the reason: points of docs/assumptions.md, and switches of the embedded AWS."""

POINTS: dict[str, str] = {
    "M16": "Only an origin that records the token shows when MediaTailor sends a new value, and the check operates none.",
    "M17": "A secret in another account or Region needs a second account, or a second key in another Region.",
    "P6": "A running flow is charged for every hour, and it needs a source that sends a stream.",
    "P7": "The check would have to exhaust the quotas of Secrets Manager in the account.",
    "P8": "Only calls that are not documented could do it, and no failed try proves that there is none.",
    "P9": "It needs a channel with input, and an endpoint that serves manifests.",
    "A8": "Loss, repetition and order of events show only in many events over many days.",
    "A9": "The check would have to change a trail of the account.",
    "A11": "It concerns only Lambda and Step Functions: end a function of a test stack, and read the history of its execution.",
    "A12": "An alarm needs several periods after the deployment: read its state in a test stack a day later.",
    "A13": "Each try creates another key. The first onboarding in a test account shows it: CreateKey succeeds or is denied.",
    "A15": "No API can write a policy of a secret that is not `default`.",
    "A16": "It needs a role of its own: let one with kms:DescribeKey for aliases only describe an alias that does not exist.",
    "A18": "It needs a key whose policy admits only one of the two forms, and a role that can use the key in no other way.",
    "A19": "Every condition would need a policy of its own that makes a secret public for a moment.",
    "A20": "It needs a role that is deleted while a policy names its unique ID in a condition.",
    "A21": "Only MediaTailor can call as MediaTailor, and its calls show no condition keys.",
    "A22": "It needs a second key: move a secret to it, and list the keys of its versions.",
}

SWITCHES: dict[str, str] = {
    "trail": POINTS["A8"],
    "keyValidation": POINTS["A18"],
    "tokenCacheSeconds": POINTS["M16"],
    "flowRereads": POINTS["P6"],
    "clockSeconds": "It sets the clock of the embedded AWS. AWS has no such behavior.",
}
