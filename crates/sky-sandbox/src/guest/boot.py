import time
support = {"__name__": "support"}
exec(compile(open("/support.py").read(), "support.py", "exec"), support)
failed = []
support["install"](failed)
wide = {"__name__": "wide"}
exec(compile(open("/wide.py").read(), "wide.py", "exec"), wide)
driver = {"__name__": "driver", "__builtins__": dict(vars(__import__("builtins"))), "widen": wide["widen"]}
for part in ("driver.py", "calls.py", "values.py", "numpy_subset.py", "stand_ins.py", "test_frameworks.py", "answers.py"):
    exec(compile(open("/" + part).read(), part, "exec"), driver)
emit = driver.pop("emit")
del support, wide, driver, part
emit(failed)
del emit, failed
time.time()
