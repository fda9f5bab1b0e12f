// Signals: the first INT, TERM or HUP asks for a stop after the current step, the second ends the process at once. USR1
// asks how far a run is.
#pragma once

namespace florence2 {

/// Makes writes report closed pipes and file size limits instead of ending the process.
void ignore_write_signals();
/// Says so and exits with 74 when a mapped weights file was cut short (File::map).
void report_lost_weights();
void catch_interrupts();
/// The signal that asked for a stop, or 0.
int interrupt_signal();
/// Makes USR1 a question instead of the end of the process.
void catch_questions();
/// Whether USR1 came since this was last asked.
bool was_questioned();

}  // namespace florence2
