"""A program that makes a file again and again. Arguments: for how many seconds, and how many one round may take. It fails if anything fails."""
import os, sys, time

duration, limit = map(float, sys.argv[1:])
failed, made, longest, end = 0, 0, 0, time.time() + duration
while time.time() < end:
    began = time.time()
    try:
        with open("/system/made", "w") as f:
            f.write("x")
            f.flush()
            os.fsync(f.fileno())
        made += 1
    except OSError as e:
        failed += 1
        print(e, flush=True)
    longest = max(longest, time.time() - began)
    time.sleep(0.02)
print("made", made, "failed", failed, "longest wait %.1f s" % longest)
sys.exit(failed > 0 or longest > limit)
