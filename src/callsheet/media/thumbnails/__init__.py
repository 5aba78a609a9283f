"""Preview images: frames, contact sheets, posters, sprites, animations and waveforms.

Files are decoded in child processes, which a malicious file may crash. `preview_process` starts them.
"""
