"""The ground floor: names, errors, settings, hashes, atomic files, the envelope. It knows no phase and no backend."""
