from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActRequest(_message.Message):
    __slots__ = ("policy", "observations", "deterministic", "seed", "id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    policy: str
    observations: _containers.RepeatedScalarFieldContainer[float]
    deterministic: bool
    seed: int
    id: int
    def __init__(self, policy: _Optional[str] = ..., observations: _Optional[_Iterable[float]] = ..., deterministic: _Optional[bool] = ..., seed: _Optional[int] = ..., id: _Optional[int] = ...) -> None: ...

class ActResponse(_message.Message):
    __slots__ = ("actions", "log_probs", "entropies", "q_values", "step", "id")
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBS_FIELD_NUMBER: _ClassVar[int]
    ENTROPIES_FIELD_NUMBER: _ClassVar[int]
    Q_VALUES_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedScalarFieldContainer[float]
    log_probs: _containers.RepeatedScalarFieldContainer[float]
    entropies: _containers.RepeatedScalarFieldContainer[float]
    q_values: _containers.RepeatedScalarFieldContainer[float]
    step: int
    id: int
    def __init__(self, actions: _Optional[_Iterable[float]] = ..., log_probs: _Optional[_Iterable[float]] = ..., entropies: _Optional[_Iterable[float]] = ..., q_values: _Optional[_Iterable[float]] = ..., step: _Optional[int] = ..., id: _Optional[int] = ...) -> None: ...

class SpecRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: str
    def __init__(self, policy: _Optional[str] = ...) -> None: ...

class SpecResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[PolicySpec]
    def __init__(self, policies: _Optional[_Iterable[_Union[PolicySpec, _Mapping]]] = ...) -> None: ...

class PolicySpec(_message.Message):
    __slots__ = ("name", "env", "obs_dim", "act_dim", "algorithm", "kind", "particles", "step", "run", "batch", "act_low", "act_high", "obs_shape", "act_shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    OBS_DIM_FIELD_NUMBER: _ClassVar[int]
    ACT_DIM_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARTICLES_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ACT_LOW_FIELD_NUMBER: _ClassVar[int]
    ACT_HIGH_FIELD_NUMBER: _ClassVar[int]
    OBS_SHAPE_FIELD_NUMBER: _ClassVar[int]
    ACT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    env: str
    obs_dim: int
    act_dim: int
    algorithm: str
    kind: str
    particles: int
    step: int
    run: str
    batch: int
    act_low: _containers.RepeatedScalarFieldContainer[float]
    act_high: _containers.RepeatedScalarFieldContainer[float]
    obs_shape: _containers.RepeatedScalarFieldContainer[int]
    act_shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., env: _Optional[str] = ..., obs_dim: _Optional[int] = ..., act_dim: _Optional[int] = ..., algorithm: _Optional[str] = ..., kind: _Optional[str] = ..., particles: _Optional[int] = ..., step: _Optional[int] = ..., run: _Optional[str] = ..., batch: _Optional[int] = ..., act_low: _Optional[_Iterable[float]] = ..., act_high: _Optional[_Iterable[float]] = ..., obs_shape: _Optional[_Iterable[int]] = ..., act_shape: _Optional[_Iterable[int]] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("model", "pixels", "files", "id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    pixels: bytes
    files: _containers.RepeatedScalarFieldContainer[bytes]
    id: int
    def __init__(self, model: _Optional[str] = ..., pixels: _Optional[bytes] = ..., files: _Optional[_Iterable[bytes]] = ..., id: _Optional[int] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("energies", "update", "id")
    ENERGIES_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    energies: _containers.RepeatedScalarFieldContainer[float]
    update: int
    id: int
    def __init__(self, energies: _Optional[_Iterable[float]] = ..., update: _Optional[int] = ..., id: _Optional[int] = ...) -> None: ...

class ModelsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSpec]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSpec, _Mapping]]] = ...) -> None: ...

class ModelSpec(_message.Message):
    __slots__ = ("name", "data", "height", "width", "channels", "temperature", "update", "run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: str
    height: int
    width: int
    channels: int
    temperature: float
    update: int
    run: str
    def __init__(self, name: _Optional[str] = ..., data: _Optional[str] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., temperature: _Optional[float] = ..., update: _Optional[int] = ..., run: _Optional[str] = ...) -> None: ...
