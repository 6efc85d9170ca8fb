"""A browser by the WebDriver protocol (W3C), with the standard library: chromedriver and its headless Chromium."""
import json
import shutil
import subprocess
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver 11: the key of an element's id
TAB, ENTER, SHIFT = "\ue004", "\ue007", "\ue008"  # WebDriver 17.4.2: normalized key values


def missing():
    """What is not installed; empty when a browser can be driven."""
    return [name for name in ("chromium", "chromedriver") if not shutil.which(name)]


class Browser:
    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.session = None
        try:
            for line in self.driver.stdout:
                if "started successfully on port" in line:
                    self.address = "http://127.0.0.1:" + line.split("port")[-1].strip(" .\n")
                    break
            else:
                raise RuntimeError("chromedriver did not start")
            options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]}
            capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
                            "timeouts": {"script": 15000, "pageLoad": 15000}}
            self.session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].splitlines()[0]) from None

    def _do(self, method, path, body=None):
        return self._ask(method, f"/session/{self.session}{path}", body)

    def open(self, address):
        self._do("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        """What `script`, the body of a function, returns."""
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition, *arguments):
        """The first value of `condition`, an expression, that counts as true. Fails after the script timeout."""
        script = ("const done = arguments[arguments.length - 1];"
                  f"const look = () => {{ const value = {condition}; if (value) done(value); else setTimeout(look, 20); }}; look();")
        try:
            return self._do("POST", "/execute/async", {"script": script, "args": list(arguments)})
        except RuntimeError as error:
            raise AssertionError(f"never came: {condition}: {error}") from None

    def type_into(self, selector, keys):
        element = self._do("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self._do("POST", f"/element/{element}/value", {"text": keys})

    def press(self, *keys):
        """Each key, with those before it held where it is a modifier."""
        held = [{"type": "keyDown", "value": key} for key in keys] + [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self._do("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": held}]})

    def command(self, name, **parameters):
        """One of the DevTools protocol."""
        return self._do("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def errors(self):
        """What the console has had to complain about since the last call."""
        return [entry for entry in self._do("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]

    def close(self):
        try:
            if self.session:
                self._do("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
