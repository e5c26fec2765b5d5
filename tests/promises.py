"""The table in the README of training/, of faults that were tried: each promise with the tests that try to break it."""

from pathlib import Path

README = Path(__file__).parent.parent / "jaxgan" / "training" / "README.md"
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"
PROMISES = {
    "A kill costs at most one interval of checkpoints; the run goes on with the same bits": (
        "test_killed_in_the_middle_of_saves_it_ends_with_the_same_bits",
        "test_while_one_trains_others_read_and_none_writes_and_a_kill_costs_one_interval",
        "test_a_kill_while_a_run_begins_anew_leaves_a_run",
        "test_a_kill_before_a_new_run_is_described_is_no_obstacle",
        "test_a_run_goes_on_from_eight_devices_with_one_and_with_four",
    ),
    "A signal saves and stops, also while compiling or measuring": (
        "test_a_signal_while_the_first_step_is_compiled_ends_it_at_once",
        "test_a_signal_ends_an_evaluation",
        "test_a_signal_ends_what_is_no_training_and_leaves_nothing",
        "test_a_signal_that_is_ignored_stays_so",
    ),
    "Streams that close, clocks that jump and threads end no training": (
        "test_streams_that_are_gone_end_nothing",
        "test_a_thread_that_is_not_the_main_one_trains_while_the_clock_jumps",
        "test_an_interrupt_that_a_callback_raises_is_its_error",
    ),
    "One process trains a run; others read it meanwhile": (
        "test_the_lock_ends_with_its_process",
        "test_a_forked_child_does_not_hold_the_lock_of_a_process_that_was_killed",
        "test_no_conversion_overwrites_a_run_that_is_in_use",
        "test_a_checkpoint_that_goes_while_it_is_read_is_not_called_damaged",
        "test_a_run_that_another_took_over_is_left_to_it",
    ),
    "One process of several that dies, or a coordinator that is not there, is named in bounded time": (
        "test_where_one_of_two_processes_dies_the_other_ends_with_a_word",
        "test_a_coordinator_that_nobody_answers_is_told_in_one_line",
        "test_an_address_at_which_nobody_can_be_is_refused_at_once",
    ),
    "Saves leave nothing behind; a full or broken disk loses nothing that was saved": (
        "test_saves_leave_no_thread_and_no_descriptor_behind",
        "test_a_save_that_fails_midway_leaves_nothing_and_the_next_succeeds",
        "test_a_save_whose_folder_cannot_be_made_leaves_no_thread_to_wait_for",
        "test_on_a_full_disk_training_goes_on_and_gives_up_the_third_time",
        "test_the_last_state_takes_the_room_that_was_kept",
        "test_a_run_removed_while_it_trains_is_a_run_again",
        "test_rows_wait_for_room_and_pictures_are_done_without",
        "test_outputs_that_cannot_be_written",
        "test_a_folder_that_is_read_only_is_refused_before_the_work",
        "test_a_written_file_is_whole_or_the_old_one",
        "test_debris_of_the_dead_is_removed_and_that_of_the_living_stays",
    ),
    "No NaN is saved; a divergence says what to do, or goes back": (
        "test_a_divergence_says_what_can_be_gone_back_to",
        "test_a_rollback_goes_on_with_smaller_steps_and_is_recorded",
        "test_a_run_that_went_back_is_resumed_bit_for_bit",
        "test_what_is_fit_to_be_saved",
        "test_parameters_that_are_lost_in_the_last_step_are_not_saved",
    ),
    "A damaged file of a run or an export costs one line, or nothing": (
        "test_files.test_a_damaged_file_of_a_run",
        "test_files.test_a_damaged_export",
        "test_what_is_no_file_is_refused_and_not_waited_for",
        "test_json_beyond_reason",
        "test_an_array_that_claims_too_much",
        "test_an_archive_that_is_a_bomb_or_encrypted",
        "test_pictures_that_cannot_be_read_are_left_out",
        "test_a_bad_line_of_metrics_costs_itself_alone",
        "test_training_goes_on_over_bad_lines",
    ),
    "A damaged cache heals; without a cache training goes on": (
        "test_a_damaged_cache_heals",
        "test_training_without_a_cache",
        "test_a_home_that_is_none",
    ),
    "Values and files mutated at random: one line, or the right result": (
        "test_recipe_values_of_the_command_line",
        "test_a_recipe_json_with_another_value",
        "test_a_damaged_recipe_json",
        "test_a_recipe_json_that_is_built",
        "test_good_rows_of_metrics_stay",
        "test_rows_of_metrics_of_any_form",
        "test_a_damaged_npz",
        "test_a_header_of_npy_that_claims_anything",
        "test_fuzz.test_a_damaged_export",
        "test_a_damaged_file_of_features_with_its_checksum",
        "test_a_damaged_file_of_weights",
        "test_a_damaged_picture_among_others",
        "test_the_limits_of_a_recipe_are_those_of_its_record",
    ),
}


def promise_of(module: str, test: str) -> str | None:
    """Returns the promise that a test of this folder tries to break."""
    return next((words for words, tests in PROMISES.items() if {test, f"{module}.{test}"} & set(tests)), None)


def table(tried: dict[str, int], survived: dict[str, int]) -> str:
    """Returns the table in Markdown, with the number of faults of each promise."""
    rows = ["| promise | faults tried | survived |", "|---|---|---|"]
    rows += [f"| {words} | {tried.get(words, 0):,} | {survived.get(words, 0):,} |" for words in PROMISES]
    return "\n".join(rows) + "\n"


def put(text: str, made: str) -> str:
    """Returns README's text with the table replaced."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + made + END + rest.split(END)[1]
