"""The life of a job and of a folder, as python-jenkins goes through it: drive_jenkins.py URL USER PASSWORD."""

import json
import sys

import jenkins

url, user, password = sys.argv[1:]
server = jenkins.Jenkins(url, username=user, password=password, timeout=30)
told = {"whoami": server.get_whoami()["id"], "version": server.get_version()}

server.create_job("a", "<com.cloudbees.hudson.plugins.folder.Folder/>")
server.create_job("a/b", "<com.cloudbees.hudson.plugins.folder.Folder/>")
config = """<?xml version='1.0' encoding='UTF-8'?>
<flow-definition><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>
<hudson.model.StringParameterDefinition><name>E</name><defaultValue>d</defaultValue></hudson.model.StringParameterDefinition>
</parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties></flow-definition>"""
server.create_job("a/b/new", config)
try:
    server.create_job("a/b/new", config)
    sys.exit("a job was made twice")
except jenkins.JenkinsException as error:
    told["twice"] = str(error)
told["config"] = server.get_job_config("a/b/new")
server.reconfig_job("a/b/new", config)

item = server.build_job("a/b/new", {"E": "x y&z"}, token="T")
number = server.get_queue_item(item)["executable"]["number"]
build = server.get_build_info("a/b/new", number)
told["parameters"] = build["actions"][0]["parameters"]
told["building"] = build["building"]
server.stop_build("a/b/new", number)
told["result"] = server.get_build_info("a/b/new", number)["result"]
told["console"] = server.get_build_console_output("a/b/new", number)
told["job"] = server.get_job_info("a/b/new")["lastBuild"]["number"]
try:
    server.get_build_info("a/b/new", 99)
    sys.exit("there is a build that was never started")
except jenkins.JenkinsException as error:
    told["missing"] = str(error)
server.delete_job("a/b/new")
told["exists"] = bool(server.job_exists("a/b/new"))
print(json.dumps(told))
