"""What the rules of an image look at: the platform's inspection commands (contract section b), run when first wanted.

docker image inspect IMG                      and `docker pull IMG` if it is not there
docker images IMG --format {{.ID}}
docker run --rm IMG cat /img-man/manifest.yaml
docker run --rm IMG cat <dir>/{training,mining,infer}-template.yaml
"""

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ymir_exc.reading import decode

from ..platform.parameters import FOLDERS
from .finding import NotApplicable
from .reading import MISSING, NOT_TEXT, CheckedDocument

TASKS = ('training', 'mining', 'infer')
MANIFEST = '/img-man/manifest.yaml'
START_SCRIPT = '/usr/bin/start.sh'
SECONDS_PER_COMMAND = 60  # the verifier's limit for one `cat`
SECONDS_TO_PULL = 3600
CANNOT_RUN = (125, 126, 127)  # of `docker run`: no container, not executable, no such program
NO_ENGINE_WORDS = ('cannot connect', 'permission denied', 'is the docker daemon running', 'error during connect')


@dataclass(frozen=True)
class Answer:
    """How a command ended; exit code None if it could not be started or took too long."""

    exit_code: int | None
    stdout: bytes = b''
    stderr: str = ''


@dataclass(frozen=True)
class Template:
    """A template of one task and object type.

    Args:
        task: 'training', 'mining' or 'infer'.
        object_type: of the manifest; None if the templates lie in /img-man itself.
        document: its content.
    """

    task: str
    object_type: int | None
    document: CheckedDocument

    @property
    def values(self) -> dict[Any, Any]:
        return self.document.value if isinstance(self.document.value, dict) else {}


def docker(*arguments: str, timeout: float = SECONDS_PER_COMMAND) -> Answer:
    """Run a docker command.

    Args:
        arguments: what follows `docker`.
        timeout: in seconds.
    """
    try:
        done = subprocess.run(['docker', *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return Answer(None, stderr=f'docker {arguments[0]} did not end within {timeout:g} s')
    except (OSError, ValueError) as error:
        return Answer(None, stderr=f'docker cannot be started: {error}')
    return Answer(done.returncode, done.stdout, done.stderr.decode('utf-8', 'replace').strip())


class ExecutorImage:
    """An image on this machine, pulled if it is not here.

    Args:
        name: its name.

    Properties raise `NotApplicable` where there is nothing to give.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _inspected(self) -> Answer:
        return docker('image', 'inspect', self.name)

    @cached_property
    def engine_problem(self) -> str:
        """'' if a Docker engine answers, else what it says."""
        if self._inspected.exit_code == 0:
            return ''
        if self._inspected.exit_code is None:
            return self._inspected.stderr
        return self._inspected.stderr if any(word in self._inspected.stderr.lower() for word in NO_ENGINE_WORDS) else ''

    @cached_property
    def absence(self) -> str:
        """'' if the image is here or could be pulled, else why not."""
        if self.engine_problem:
            raise NotApplicable
        if self._inspected.exit_code != 0:
            pulled = docker('pull', self.name, timeout=SECONDS_TO_PULL)
            if pulled.exit_code != 0:
                return pulled.stderr or 'docker pull failed'
            self.__dict__.pop('_inspected')
        listed = docker('images', self.name, '--format', '{{.ID}}')
        return '' if listed.exit_code == 0 and listed.stdout.strip() else listed.stderr or 'docker images lists no id'

    def need(self) -> 'ExecutorImage':
        """Return itself.

        Raises:
            NotApplicable: there is no engine or no such image; the rules that say so are others.
        """
        if self.engine_problem or self.absence:
            raise NotApplicable
        return self

    @cached_property
    def settings(self) -> dict[str, Any]:
        """`Config` of `docker image inspect`."""
        try:
            settings = json.loads(self.need()._inspected.stdout)[0]['Config']
        except (ValueError, LookupError, TypeError):
            raise NotApplicable from None
        return settings or {}

    @cached_property
    def manifest_answer(self) -> Answer:
        return self.need().cat(MANIFEST)

    def cat(self, file: str) -> Answer:
        """Read a file as the platform does."""
        return docker('run', '--rm', self.name, 'cat', file)

    @cached_property
    def cat_problem(self) -> str:
        """'' if `cat` can be run in the image, else why not."""
        answer = self.manifest_answer
        return answer.stderr or f'exit code {answer.exit_code}' if answer.exit_code in (None, *CANNOT_RUN) else ''

    @cached_property
    def entry_point_problem(self) -> tuple[str, str]:
        """What `cat` prints and what the file holds, if an entry point makes these differ."""
        if not self.settings.get('Entrypoint'):
            raise NotApplicable
        direct = docker('run', '--rm', '--entrypoint', 'cat', self.name, MANIFEST)
        if (direct.exit_code, direct.stdout) == (self.manifest_answer.exit_code, self.manifest_answer.stdout):
            return '', ''
        return (
            self.manifest_answer.stdout.decode('utf-8', 'replace') or self.manifest_answer.stderr,
            direct.stdout.decode('utf-8', 'replace') or direct.stderr,
        )

    def need_cat(self) -> None:
        """Raise NotApplicable if nothing that is printed can be believed."""
        broken = self.cat_problem
        try:
            broken = broken or any(self.entry_point_problem)
        except NotApplicable:
            pass
        if broken:
            raise NotApplicable

    @cached_property
    def manifest(self) -> CheckedDocument:
        self.need_cat()
        return _document(self.manifest_answer, MANIFEST)

    @cached_property
    def object_type(self) -> Any:
        """As the manifest has it; 2 if that says nothing."""
        value = self.manifest.value
        return value.get('object_type', 2) if isinstance(value, dict) else 2

    @cached_property
    def templates(self) -> list[Template]:
        """All templates that the platform looks for, missing ones too."""
        kind = self.object_type
        if isinstance(kind, int):
            folders = [(None, '/img-man')]
        elif isinstance(kind, list) and all(isinstance(member, int) and member in FOLDERS for member in kind):
            folders = [(member, FOLDERS[member]) for member in kind]
        else:
            raise NotApplicable
        paths = [(task, member, f'{folder}/{task}-template.yaml') for member, folder in folders for task in TASKS]
        return [Template(task, member, _document(self.cat(path), path)) for task, member, path in paths]

    @property
    def declared(self) -> list[Template]:
        """The templates that are mappings: what the image can do.

        Raises:
            NotApplicable: there are none.
        """
        declared = [template for template in self.templates if isinstance(template.document.value, dict)]
        if not declared:
            raise NotApplicable
        return declared


def _document(answer: Answer, path: str) -> CheckedDocument:
    if answer.exit_code != 0:
        return CheckedDocument(path, MISSING, (answer.stderr,))
    try:
        return CheckedDocument(path, text=decode(answer.stdout)).as_yaml()
    except UnicodeError as error:
        return CheckedDocument(path, NOT_TEXT, (str(error),))


class ImgMan(ExecutorImage):
    """A folder that will be /img-man of an image.

    Args:
        folder: holds manifest.yaml and templates.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = Path(folder)

    cat_problem = ''

    @property
    def settings(self) -> dict[str, Any]:
        raise NotApplicable

    engine_problem = absence = settings

    def need(self) -> 'ImgMan':
        return self

    def cat(self, file: str) -> Answer:
        if not file.startswith('/img-man/'):
            raise NotApplicable
        try:
            return Answer(0, (self.folder / file[len('/img-man/') :]).read_bytes())
        except OSError as error:
            return Answer(1, stderr=str(error))
