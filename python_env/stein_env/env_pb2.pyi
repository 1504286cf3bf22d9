from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("env", "copies", "kwargs_json", "render", "max_episode_steps", "client", "run")
    ENV_FIELD_NUMBER: _ClassVar[int]
    COPIES_FIELD_NUMBER: _ClassVar[int]
    KWARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    RENDER_FIELD_NUMBER: _ClassVar[int]
    MAX_EPISODE_STEPS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    env: str
    copies: int
    kwargs_json: str
    render: bool
    max_episode_steps: int
    client: str
    run: str
    def __init__(self, env: _Optional[str] = ..., copies: _Optional[int] = ..., kwargs_json: _Optional[str] = ..., render: _Optional[bool] = ..., max_episode_steps: _Optional[int] = ..., client: _Optional[str] = ..., run: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("env", "copies", "obs_shape", "act_shape", "obs_dtype", "act_dtype", "act_low", "act_high", "max_steps", "versions", "pid", "render_fps")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENV_FIELD_NUMBER: _ClassVar[int]
    COPIES_FIELD_NUMBER: _ClassVar[int]
    OBS_SHAPE_FIELD_NUMBER: _ClassVar[int]
    ACT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    OBS_DTYPE_FIELD_NUMBER: _ClassVar[int]
    ACT_DTYPE_FIELD_NUMBER: _ClassVar[int]
    ACT_LOW_FIELD_NUMBER: _ClassVar[int]
    ACT_HIGH_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RENDER_FPS_FIELD_NUMBER: _ClassVar[int]
    env: str
    copies: int
    obs_shape: _containers.RepeatedScalarFieldContainer[int]
    act_shape: _containers.RepeatedScalarFieldContainer[int]
    obs_dtype: str
    act_dtype: str
    act_low: _containers.RepeatedScalarFieldContainer[float]
    act_high: _containers.RepeatedScalarFieldContainer[float]
    max_steps: int
    versions: _containers.ScalarMap[str, str]
    pid: int
    render_fps: float
    def __init__(self, env: _Optional[str] = ..., copies: _Optional[int] = ..., obs_shape: _Optional[_Iterable[int]] = ..., act_shape: _Optional[_Iterable[int]] = ..., obs_dtype: _Optional[str] = ..., act_dtype: _Optional[str] = ..., act_low: _Optional[_Iterable[float]] = ..., act_high: _Optional[_Iterable[float]] = ..., max_steps: _Optional[int] = ..., versions: _Optional[_Mapping[str, str]] = ..., pid: _Optional[int] = ..., render_fps: _Optional[float] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("seed",)
    SEED_FIELD_NUMBER: _ClassVar[int]
    seed: int
    def __init__(self, seed: _Optional[int] = ...) -> None: ...

class Render(_message.Message):
    __slots__ = ("copy",)
    COPY_FIELD_NUMBER: _ClassVar[int]
    copy: int
    def __init__(self, copy: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "exception", "traceback", "copy", "step", "action")
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CODE_UNSPECIFIED: _ClassVar[Failure.Code]
        VERSION: _ClassVar[Failure.Code]
        UNKNOWN_ENV: _ClassVar[Failure.Code]
        SPACE: _ClassVar[Failure.Code]
        SHAPE: _ClassVar[Failure.Code]
        RAISED: _ClassVar[Failure.Code]
        NO_SESSION: _ClassVar[Failure.Code]
        BUSY: _ClassVar[Failure.Code]
        RENDER: _ClassVar[Failure.Code]
        REQUEST: _ClassVar[Failure.Code]
    CODE_UNSPECIFIED: Failure.Code
    VERSION: Failure.Code
    UNKNOWN_ENV: Failure.Code
    SPACE: Failure.Code
    SHAPE: Failure.Code
    RAISED: Failure.Code
    NO_SESSION: Failure.Code
    BUSY: Failure.Code
    RENDER: Failure.Code
    REQUEST: Failure.Code
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    COPY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    code: Failure.Code
    message: str
    exception: str
    traceback: str
    copy: int
    step: int
    action: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, code: _Optional[_Union[Failure.Code, str]] = ..., message: _Optional[str] = ..., exception: _Optional[str] = ..., traceback: _Optional[str] = ..., copy: _Optional[int] = ..., step: _Optional[int] = ..., action: _Optional[_Iterable[float]] = ...) -> None: ...
