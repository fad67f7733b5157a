// Runs Jenkinsfiles in a real Groovy for the tests of pipelines: one JSON object {"id", "text"} a line in, {"id", "events"} a
// line out. The steps do nothing here; they are written down, with what they were called with, and so is every assignment.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration

abstract class Jenkinsfile extends Script {
    private final List events = []

    static final Map BUILD = [currentResult: 'SUCCESS']

    private static Object plain(Object value) {
        if (value instanceof Map) return value.collectEntries { k, v -> [(k.toString()): plain(v)] }
        if (value instanceof Collection) return value.collect { plain(it) }
        return value instanceof Number || value instanceof Boolean || value == null ? value : value.toString()
    }

    @Override
    Object invokeMethod(String name, Object args) {
        def list = args instanceof Object[] ? args as List : [args]
        def body = list && list[-1] instanceof Closure ? list[-1] : null
        events << [step: name, arguments: plain(body ? list[0..<-1] : list)]
        if (body) {
            body.delegate = this
            body.resolveStrategy = Closure.DELEGATE_FIRST
            body.call()
            events << [end: name]
        }
        return "<$name>".toString()
    }

    @Override
    Object getProperty(String name) {
        name == 'currentBuild' ? BUILD : name
    }

    @Override
    void setProperty(String name, Object value) {
        if (name == 'binding') super.setProperty(name, value)
        else events << [set: name, value: plain(value)]
    }

    List written() { events }
}

def configuration = new CompilerConfiguration(scriptBaseClass: Jenkinsfile.name)
def shell = new GroovyShell(getClass().classLoader, new Binding(), configuration)
def slurper = new JsonSlurper()
System.in.eachLine('UTF-8') { line ->
    def given = slurper.parseText(line)
    def script = shell.parse(given.text)
    script.run()
    println JsonOutput.toJson([id: given.id, events: script.written()])
}
