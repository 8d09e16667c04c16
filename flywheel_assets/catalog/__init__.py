"""The catalogue: outputs, builders, surfaces, trust, owners and release authority, as one YAML file.

``models`` says what a catalogue may contain, ``loading`` reads files into it with line numbers in errors.
Pure but for the one read of the files.
"""
