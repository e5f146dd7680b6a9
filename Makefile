PYTHON ?= python3

.PHONY: demo check test test-host

demo: ## take the sample (or INPUT=clip.mp4), run the default workflow, leave the results in output/
	$(PYTHON) demo.py $(if $(INPUT),"$(INPUT)")

check: ## format, lint, types and the fast tests, in about three minutes
	$(PYTHON) check.py

test: ## every test that needs no ComfyUI
	$(PYTHON) test.py

test-host: ## the tests against a real one: make test-host COMFYUI=path, or path:path
	$(PYTHON) test.py --host "$(COMFYUI)"
