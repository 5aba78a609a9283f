"""The codes of problems. Each code has one meaning everywhere.

Besides these, a problem can carry an error type of pydantic (`missing`, `literal_error`, `extra_forbidden`, …), or the
error type of a ComfyUI server for a problem of a workflow.
"""

PROBLEM_CODES: dict[str, str] = {
    # Any input
    "bad_url": "The URL is malformed, or its scheme is not supported.",
    "ambiguous": "Several things match; they are listed.",
    "bad_digest": "The digest is malformed.",
    "bad_value": "The value is not allowed.",
    "conflicting_fields": "Fields that exclude each other are set.",
    "credentials_in_url": "The URL contains a user name or a password.",
    "empty": "A required list or body is empty.",
    "invalid_value": "The value is not allowed.",
    "missing": "A required field is not set.",
    "not_https": "The URL must start with https://.",
    "not_json": "The value cannot be represented in JSON.",
    "not_supported": "The feature is not available.",
    "nul_character": "The text contains a NUL character.",
    "out_of_range": "A time or number is outside the range of the input.",
    "private_address": "The URL leads to a private address.",
    "too_large": "The input exceeds a size limit.",
    "too_small": "The target is too small for the input.",
    "unreadable": "The text is not valid JSON or YAML.",
    "unsupported": "The form of the value is not supported.",
    "unknown_parameter": "The route has no query parameter with this name.",
    "wrong_size": "The size is not that of the file with this digest.",
    "wrong_type": "The value has the wrong type.",
    # Plans
    "is_a_plan": "The file is a plan, and another kind of file was expected.",
    "bad_id": "The id of a child job is malformed.",
    "bad_reference": "A reference is malformed, or its path does not exist in the result.",
    "cycle": "Jobs or nodes wait for each other.",
    "duplicate_id": "The id is used twice.",
    "too_many_edges": "The plan has more dependencies and references than allowed.",
    "too_many_jobs": "The plan has more jobs than allowed.",
    "unknown_job": "There is no job with this id.",
    "unknown_operation": "There is no operation with this name.",
    "unknown_output": "The operation's result has no such field.",
    # Intakes
    "no_place": "The workflow has no place for the fields of the message.",
    "unknown_node": "The graph has no node with this id.",
    # Workers
    "missing_requirement": "The machine does not meet a requirement of the operation.",
    "unknown_lane": "The worker has no lane for this queue.",
    # Media
    "codec_does_not_fit": "The codec is not allowed in the container.",
    "format_mismatch": "The format differs from the file extension or another setting.",
    "inconsistent_inputs": "The inputs differ in a property that must be equal.",
    "no_picture": "The file has no video or image.",
    "no_sound": "The file has no audio.",
    "no_such_track": "The file has no audio track with this number.",
    "not_a_video": "The file is a still image, not a video.",
    "not_an_image": "The file is not an image.",
    "scenes_overlap": "Two scenes overlap in time.",
    "too_many_parts": "The split has more parts than allowed.",
    "transition_over_gap": "A transition connects scenes that are not adjacent.",
    "transitions_too_long": "The transitions are longer than their scene.",
    "unknown_transition": "There is no transition with this name.",
    # OpenTimelineIO
    "bad_speed": "The speed of a clip is not supported.",
    "color_overlay": "A generated color is on an upper track.",
    "freeze_frame": "A freeze frame is not supported.",
    "nested": "A nested composition is not supported.",
    "no_length": "A clip has no duration.",
    "no_media": "A clip has no media reference.",
    "no_video": "The timeline has no video track.",
    "trimmed": "A trimmed composition is not supported.",
    # Models and providers
    "model_not_found": "There is no model with this name, or it does not make videos.",
    "unknown_file": "There is no file with this id.",
    "unknown_input": "The model or workflow has no such input.",
    "unknown_model": "There is no model with this name.",
    "unknown_provider": "There is no provider with this name.",
    # ComfyUI workflows
    "editor_format": "The workflow is in the editor's format instead of the API format.",
    "no_class_type": "A node has no `class_type`.",
    "no_inputs": "A node has no `inputs`.",
    "no_such_field": "The node has no such input.",
    "no_such_node": "The workflow has no node with this id.",
    "no_such_server": "There is no ComfyUI server with this name.",
    "not_a_file": "The input takes a file.",
    "not_a_graph": "The value is not a workflow graph.",
    "only_by_websocket": "The output node sends its result over the websocket only.",
    "unknown_workflow": "There is no stored workflow with this name.",
}
"""Code → meaning."""
