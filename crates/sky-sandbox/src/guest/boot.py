import time
support = {"__name__": "support"}
exec(compile(open("/support.py").read(), "support.py", "exec"), support)
failed = []
support["install"](failed)
driver = {"__name__": "driver", "__builtins__": dict(vars(__import__("builtins")))}
exec(compile(open("/driver.py").read(), "driver.py", "exec"), driver)
exec(compile(open("/exam.py").read(), "exam.py", "exec"), driver)
emit = driver.pop("emit")
del support, driver
emit(failed)
del emit, failed
time.time()
