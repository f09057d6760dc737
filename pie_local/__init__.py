"""The part of the PIE-Engine AI platform that a training script meets, on one machine, and the command `pie`.

`s3_server` and `data_service` hand out data sets, `run` starts a network package as the platform does, `judge` says
whether what it wrote could be pushed. Nothing of the executor is imported: the contract is all that both share.
"""
