"""The table of all commands: name → where it is implemented, and one line about it. Docker's names and groups."""

from __future__ import annotations

from cli.groups import Entry

_C, _I, _S = "cli.commands.container", "cli.commands.image", "cli.commands.system"
_N, _V, _W = "cli.commands.network", "cli.commands.volume", "cli.commands.swarm"
_SVC, _NODE, _STACK, _STORE = "cli.commands.service", "cli.commands.node", "cli.commands.stack", "cli.commands.store"
_CTX = "cli.commands.context"

COMMON, MANAGEMENT, SWARM = "Common Commands", "Management Commands", "Swarm Commands"

CONTAINER = {
    "attach": Entry(f"{_C}.attach:attach", "Attach the terminal's input and output to a running container"),
    "commit": Entry(f"{_C}.commit:commit", "Create a new image from a container's changes"),
    "cp": Entry(f"{_C}.cp:cp", "Copy files and folders between a container and this machine"),
    "create": Entry(f"{_C}.create:create", "Create a new container"),
    "diff": Entry(f"{_C}.diff:diff", "Show what changed in a container's file system"),
    "exec": Entry(f"{_C}.exec:execute", "Run a command in a running container"),
    "export": Entry(f"{_C}.export:export", "Write a container's file system as a tar archive"),
    "inspect": Entry(f"{_C}.inspect:inspect", "Show all there is to know about containers"),
    "kill": Entry(f"{_C}.lifecycle:kill", "Kill running containers, or send them a signal"),
    "logs": Entry(f"{_C}.logs:logs", "Show the logs of a container"),
    "ls": Entry(f"{_C}.ls:ls", "List containers"),
    "pause": Entry(f"{_C}.lifecycle:pause", "Pause all processes in containers"),
    "port": Entry(f"{_C}.port:port", "List a container's published ports"),
    "prune": Entry(f"{_C}.prune:prune", "Remove all stopped containers"),
    "rename": Entry(f"{_C}.lifecycle:rename", "Rename a container"),
    "restart": Entry(f"{_C}.lifecycle:restart", "Restart containers"),
    "rm": Entry(f"{_C}.lifecycle:rm", "Remove containers"),
    "run": Entry(f"{_C}.run:run", "Create and run a new container from an image"),
    "start": Entry(f"{_C}.start:start", "Start stopped containers"),
    "stats": Entry(f"{_C}.stats:stats", "Show what containers use, live"),
    "stop": Entry(f"{_C}.lifecycle:stop", "Stop running containers"),
    "top": Entry(f"{_C}.top:top", "Show the running processes of a container"),
    "unpause": Entry(f"{_C}.lifecycle:unpause", "Let paused containers run on"),
    "update": Entry(f"{_C}.update:update", "Change the limits of containers"),
    "wait": Entry(f"{_C}.lifecycle:wait", "Wait until containers stop, then print their exit codes"),
}

IMAGE = {
    "history": Entry(f"{_I}.history:history", "Show how an image came about"),
    "import": Entry(f"{_I}.transfer:import_", "Create an image from the tar archive of a file system"),
    "inspect": Entry(f"{_I}.inspect:inspect", "Show all there is to know about images"),
    "load": Entry(f"{_I}.transfer:load", "Load images from a tar archive or standard input"),
    "ls": Entry(f"{_I}.ls:ls", "List images"),
    "pull": Entry(f"{_I}.registry:pull", "Download an image from a registry"),
    "push": Entry(f"{_I}.registry:push", "Upload an image to a registry"),
    "prune": Entry(f"{_I}.prune:prune", "Remove unused images"),
    "rm": Entry(f"{_I}.rm:rm", "Remove images"),
    "save": Entry(f"{_I}.transfer:save", "Write images to a tar archive"),
    "tag": Entry(f"{_I}.tag:tag", "Give an image a further name"),
}

NETWORK = {
    "connect": Entry(f"{_N}.connect:connect", "Connect a container to a network"),
    "create": Entry(f"{_N}.create:create", "Create a network"),
    "disconnect": Entry(f"{_N}.connect:disconnect", "Disconnect a container from a network"),
    "inspect": Entry(f"{_N}.manage:inspect", "Show all there is to know about networks"),
    "ls": Entry(f"{_N}.manage:ls", "List networks"),
    "prune": Entry(f"{_N}.manage:prune", "Remove all unused networks"),
    "rm": Entry(f"{_N}.manage:rm", "Remove networks"),
}

VOLUME = {
    "create": Entry(f"{_V}.manage:create", "Create a volume"),
    "inspect": Entry(f"{_V}.manage:inspect", "Show all there is to know about volumes"),
    "ls": Entry(f"{_V}.manage:ls", "List volumes"),
    "prune": Entry(f"{_V}.manage:prune", "Remove unused volumes"),
    "rm": Entry(f"{_V}.manage:rm", "Remove volumes"),
}

SYSTEM = {
    "df": Entry(f"{_S}.df:df", "Show what takes space on disk"),
    "events": Entry(f"{_S}.events:events", "Follow what happens in the daemon"),
    "info": Entry(f"{_S}.info:info", "Show the state of the daemon and its machine"),
    "prune": Entry(f"{_S}.prune:prune", "Remove unused data"),
}

SERVICE = {
    "create": Entry(f"{_SVC}.create:create", "Create a new service"),
    "inspect": Entry(f"{_SVC}.inspect:inspect", "Show all there is to know about services"),
    "logs": Entry(f"{_SVC}.logs:logs", "Show the logs of a service or task"),
    "ls": Entry(f"{_SVC}.ls:ls", "List services"),
    "ps": Entry(f"{_SVC}.ps:ps", "List the tasks of services"),
    "rm": Entry(f"{_SVC}.rm:rm", "Remove services"),
    "rollback": Entry(f"{_SVC}.rollback:rollback", "Put a service back to its previous specification"),
    "scale": Entry(f"{_SVC}.scale:scale", "Set the number of replicas of services"),
    "update": Entry(f"{_SVC}.update:update", "Update a service"),
}

NODE = {
    "demote": Entry(f"{_NODE}.role:demote", "Make managers workers"),
    "inspect": Entry(f"{_NODE}.inspect:inspect", "Show all there is to know about nodes"),
    "ls": Entry(f"{_NODE}.ls:ls", "List the nodes of the swarm"),
    "promote": Entry(f"{_NODE}.role:promote", "Make workers managers"),
    "ps": Entry(f"{_NODE}.ps:ps", "List the tasks on nodes, this one by default"),
    "rm": Entry(f"{_NODE}.rm:rm", "Remove nodes from the swarm"),
    "update": Entry(f"{_NODE}.role:update", "Update a node"),
}

SECRET = {
    "create": Entry(f"{_STORE}:secret_create", "Create a secret from a file or standard input"),
    "inspect": Entry(f"{_STORE}:secret_inspect", "Show all but the content of secrets"),
    "ls": Entry(f"{_STORE}:secret_ls", "List secrets"),
    "rm": Entry(f"{_STORE}:secret_rm", "Remove secrets"),
}

CONFIG = {
    "create": Entry(f"{_STORE}:config_create", "Create a config from a file or standard input"),
    "inspect": Entry(f"{_STORE}:config_inspect", "Show all there is to know about configs"),
    "ls": Entry(f"{_STORE}:config_ls", "List configs"),
    "rm": Entry(f"{_STORE}:config_rm", "Remove configs"),
}

SWARM_TABLE = {
    "ca": Entry(f"{_W}.ca:ca", "Show and rotate the root CA"),
    "init": Entry(f"{_W}.member:init", "Make this node the first of a swarm"),
    "join": Entry(f"{_W}.member:join", "Join a swarm as a node or manager"),
    "join-token": Entry(f"{_W}.keys:join_token", "Show and rotate the tokens by which nodes join"),
    "leave": Entry(f"{_W}.member:leave", "Leave the swarm"),
    "unlock": Entry(f"{_W}.keys:unlock", "Unlock a locked manager"),
    "unlock-key": Entry(f"{_W}.keys:unlock_key", "Show and rotate the unlock key"),
    "update": Entry(f"{_W}.member:update", "Update the swarm"),
}

CLUSTER = {
    "backup": Entry("cli.commands.cluster.backup:backup", "Write the cluster's state and keys to a file"),
    "restore": Entry(
        "cli.commands.cluster.backup:restore", "Make this node the manager of a cluster that was backed up"
    ),
    "migrate": Entry(
        "cli.commands.cluster.migrate:migrate", "Move the cluster's state to etcd, or back to its managers"
    ),
}

STACK = {
    "config": Entry(f"{_STACK}.deploy:config", "Show a compose file after merging and interpolation"),
    "deploy": Entry(f"{_STACK}.deploy:deploy", "Deploy a stack from a compose file, or update it"),
    "ls": Entry(f"{_STACK}.manage:ls", "List stacks"),
    "ps": Entry(f"{_STACK}.manage:ps", "List the tasks of a stack"),
    "rm": Entry(f"{_STACK}.manage:rm", "Remove stacks"),
    "services": Entry(f"{_STACK}.manage:services", "List the services of a stack"),
}

CONTEXT = {
    "create": Entry(f"{_CTX}:create", "Create a context"),
    "inspect": Entry(f"{_CTX}:inspect", "Show all there is to know about contexts"),
    "ls": Entry(f"{_CTX}:ls", "List contexts"),
    "rm": Entry(f"{_CTX}:rm", "Remove contexts"),
    "show": Entry(f"{_CTX}:show", "Print the name of the context in use"),
    "update": Entry(f"{_CTX}:update", "Update a context"),
    "use": Entry(f"{_CTX}:use", "Set the context in use"),
}


def _also(table: dict[str, Entry], **names: str) -> dict[str, Entry]:
    """The table with further names that Docker has for its commands: list="ls"."""
    return table | {name: table[target]._replace(section="") for name, target in names.items()}


def _top(table: dict[str, Entry], names: str, section: str = "Commands") -> dict[str, Entry]:
    return {name: table[name]._replace(section=section) for name in names.split()}


ROOT = {
    "run": CONTAINER["run"]._replace(section=COMMON),
    "exec": CONTAINER["exec"]._replace(section=COMMON),
    "ps": CONTAINER["ls"]._replace(section=COMMON),
    "pull": IMAGE["pull"]._replace(section=COMMON),
    "push": IMAGE["push"]._replace(section=COMMON),
    "images": IMAGE["ls"]._replace(section=COMMON),
    "login": Entry("cli.commands.login:login", "Log in to a registry", COMMON),
    "logout": Entry("cli.commands.login:logout", "Log out from a registry", COMMON),
    "search": Entry(f"{_I}.registry:search", "Search a registry for images", COMMON),
    "version": Entry(f"{_S}.version:version", "Show the versions of client and daemon", COMMON),
    "info": SYSTEM["info"]._replace(section=COMMON),
    "container": Entry(_also(CONTAINER, list="ls", ps="ls", remove="rm"), "Manage containers", MANAGEMENT),
    "context": Entry(_also(CONTEXT, list="ls", remove="rm"), "Manage contexts", MANAGEMENT),
    "image": Entry(_also(IMAGE, list="ls", remove="rm"), "Manage images", MANAGEMENT),
    "network": Entry(_also(NETWORK, list="ls", remove="rm"), "Manage networks", MANAGEMENT),
    "system": Entry(SYSTEM, "Manage the daemon", MANAGEMENT),
    "volume": Entry(_also(VOLUME, list="ls", remove="rm"), "Manage volumes", MANAGEMENT),
    "cluster": Entry(CLUSTER, "Manage the cluster's state: where it lies, backups", SWARM),
    "config": Entry(_also(CONFIG, list="ls", remove="rm"), "Manage configs", SWARM),
    "node": Entry(_also(NODE, list="ls", remove="rm"), "Manage nodes", SWARM),
    "secret": Entry(_also(SECRET, list="ls", remove="rm"), "Manage secrets", SWARM),
    "service": Entry(_also(SERVICE, list="ls", remove="rm"), "Manage services", SWARM),
    "stack": Entry(_also(STACK, list="ls", remove="rm", up="deploy", down="rm"), "Manage stacks", SWARM),
    "swarm": Entry(SWARM_TABLE, "Manage the swarm", SWARM),
    **_top(CONTAINER, "attach commit cp create diff export kill logs pause port rename restart rm start"),
    **_top(CONTAINER, "stats stop top unpause update wait"),
    **_top(IMAGE, "history import load save tag"),
    "rmi": IMAGE["rm"],
    "events": SYSTEM["events"],
    "inspect": Entry(f"{_S}.inspect:inspect", "Show all there is to know about an object of any kind"),
    "completion": Entry("cli.commands.completion:completion", "Write the shell's completion script"),
}
