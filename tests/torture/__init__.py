"""`make torture`: hw4 is killed, its disk refuses, its files are damaged, its commands race.

    forks        commands of hw4 in forks of one process, each with its exit code, output and limit
    worker       the worker that trains a run, as a fork, too
    operations   the n-th operation on a file fails, or kills
    chain        the small chain of commands, and what its result must be equal to
    kills        SIGKILL anywhere in the chain, and again while it recovers
    faults       every operation on a file fails once: disk full, I/O error, kill
    damage       every artifact cut, flipped, emptied, replaced, deleted
    spoil        what can happen to a file
    fuzz         listings, tables, JSON and TOML mutated
    mutations    what can be wrong in a format
    races        eight processes with the same command
    machine      a state machine of Hypothesis against a model of what must hold
    report       what was tried and what was lost

All that is random is a function of a seed and a number.
"""
